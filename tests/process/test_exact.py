"""A private walk finds what find finds: each entry once."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.process import oracle, trees
from tests.process.place import Place


def check(place: Place, root: Path, *arguments: str) -> None:
    """Walk a tree with and without rows; compare both with find."""
    catalog = place.folder / "catalog"
    expected = oracle.totals(root)
    oracle.same_totals(place.walk(root, *arguments), expected)
    oracle.same_totals(place.walk(root, "-o", catalog, *arguments), expected)
    assert oracle.catalog_paths(catalog) == oracle.paths(root)
    place.nothing_left()
    place.no_private_state()


@pytest.mark.slow
def test_usr_is_walked_exactly(place: Place) -> None:
    oracle.same_totals(place.walk("/usr"), oracle.totals("/usr"))


def test_a_bushy_tree_is_walked_exactly(place: Place, tree: Path) -> None:
    check(place, tree)


@pytest.mark.slow
def test_20_000_directories_are_walked_exactly(place: Place, forest: Path) -> None:
    check(place, trees.wide(forest / "many", 20_000, 1))


@pytest.mark.slow
def test_a_directory_with_100_000_names_is_walked_exactly(place: Place) -> None:
    root = place.folder / "flat"
    root.mkdir()
    trees.touch(root, 100_000)
    check(place, root)


@pytest.mark.big
def test_a_directory_with_1_000_000_names_is_walked_exactly(place: Place, million: Path) -> None:
    check(place, million)


def test_small_parts_of_a_wide_directory_are_walked_exactly(place: Place) -> None:
    root = place.folder / "flat"
    root.mkdir()
    trees.touch(root, 3_000)
    trees.bushy(root / "below", width=3, depth=2, files=200)
    check(place, root, "--part-limit", "100")


def test_a_chain_of_5_000_folders_is_walked_exactly(place: Place, forest: Path) -> None:
    root = trees.chain(forest / "chain", 5_000)
    # find's own output has paths that no system call takes; it walks them as we do.
    check(place, root)


def test_names_may_be_any_bytes(place: Place) -> None:
    root = place.folder / "odd"
    root.mkdir()
    for byte in range(1, 256):
        if byte != ord("/"):
            name = os.fsdecode(bytes([byte, ord("x")]))
            (root / name).mkdir()
            (root / name / f"{name}y").touch()
    for raw in (b"\xff\xfe", b"new\nline", b" ", b"-rf", b"\xed\xa0\x80", b"a" * 255, b"[]*?"):
        (root / os.fsdecode(raw)).touch()
    check(place, root)


@pytest.mark.plain_user
def test_a_plain_user_is_told_what_could_not_be_read(place: Place) -> None:
    root = trees.bushy(place.folder / "tree", width=3, depth=2, files=2)
    (root / "d0").chmod(0o000)
    (root / "d1").chmod(0o444)  # may be listed, but not entered
    try:
        ended = place.run("walk", "--json", "-q", root)
        assert ended.code == 1
        listed = subprocess.run(["/usr/bin/find", root], capture_output=True, check=False)
        assert ended.json["entries"] == len(listed.stdout.splitlines())
        # Who asks for sizes is told of every file that can't be looked at.
        looked = subprocess.run(
            ["/usr/bin/find", root, "-printf", "%s\n"], capture_output=True, check=False
        )
        assert ended.json["errors"] == len(looked.stderr.splitlines()) > 0
        assert ended.json["errors_by_class"] == {"denied": ended.json["errors"]}
        assert str(root / "d0") in {error["path"] for error in ended.json["error_examples"]}
    finally:
        for name in ("d0", "d1"):
            (root / name).chmod(0o755)


def test_what_stays_during_a_walk_is_counted_once(place: Place, slow: dict[str, str]) -> None:
    root = trees.bushy(place.folder / "tree", width=4, depth=4, files=3)
    constant = oracle.paths(root)
    catalog = place.folder / "catalog"
    process = place.start("walk", "-q", "--json", root, "-o", catalog, env=slow)
    folders = [path for path in constant if Path(os.fsdecode(path)).is_dir()]
    made = 0
    while process.poll() is None and made < 500:
        extra = Path(os.fsdecode(folders[made % len(folders)])) / f"extra{made}"
        extra.mkdir()
        (extra / "inside").touch()
        if made % 2:
            (extra / "inside").unlink()
            extra.rmdir()
        made += 1
        time.sleep(0.002)  # the pace of the changes: the walk must have an end
    ended = place.end(process)
    assert ended.code == 0, ended.err
    assert made > 10
    found = oracle.catalog_paths(catalog)
    assert len(found) == len(set(found))
    known = set(constant)
    assert sorted(path for path in found if path in known) == constant
    assert ended.json["entries"] == len(found)
