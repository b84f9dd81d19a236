"""Options of a walk do what find's do."""

import json
import os
from pathlib import Path

import pytest

from tests.process import mounts, oracle, trees
from tests.process.place import Place


@pytest.fixture
def small(place: Place) -> Path:
    return trees.bushy(place.folder / "small", width=3, depth=3, files=3)


def test_a_root_that_is_a_file_is_one_entry(place: Place, small: Path) -> None:
    root = small / "f000000"
    root.write_bytes(b"12345")
    result = place.walk(root)
    oracle.same_totals(result, oracle.totals(root))
    assert (result["entries"], result["size"]) == (1, 5)


def test_a_root_that_is_a_link_is_one_entry(place: Place, small: Path) -> None:
    link = place.folder / "link"
    link.symlink_to(small)
    oracle.same_totals(place.walk(link), oracle.totals(link))
    oracle.same_totals(place.walk(f"{link}/"), oracle.totals(f"{link}/"))


def test_several_roots_are_one_walk(place: Place, small: Path) -> None:
    roots = [small / "d0", small / "d2", small / "f000001"]
    result = place.walk(*roots)
    oracle.same_totals(result, oracle.totals(*roots))
    assert [root["path"] for root in result["roots"]] == [str(root) for root in roots]


def test_names_only_counts_types_and_no_sizes(place: Place, small: Path) -> None:
    (small / "link").symlink_to("nowhere")
    result = place.walk("--names-only", small)
    expected = oracle.totals(small)
    assert {key: result[key] for key in ("entries", "directories", "files", "symlinks")} == {
        key: expected[key] for key in ("entries", "directories", "files", "symlinks")
    }
    assert (result["size"], result["allocated"]) == (None, None)


@pytest.mark.parametrize("depth", [0, 1, 2, 9])
def test_max_depth_is_finds(place: Place, small: Path, depth: int) -> None:
    result = place.walk("--max-depth", depth, small)
    oracle.same_totals(result, oracle.totals(small, options=["-maxdepth", str(depth)]))


@pytest.mark.root
@pytest.mark.parametrize("names_only", [[], ["--names-only"]])
def test_one_file_system_counts_a_mount_and_does_not_enter_it(
    place: Place, small: Path, names_only: list[str]
) -> None:
    mount = small / "d1" / "d1"
    mounts.mount(mount)
    try:
        (mount / "inside").mkdir()
        inside = place.walk(small, *names_only)
        outside = place.walk(small, "-x", *names_only)
        assert inside["entries"] == len(oracle.paths(small))
        assert outside["entries"] == len(oracle.paths(small, options=["-xdev"]))
        assert inside["entries"] == outside["entries"] + 1
    finally:
        mounts.unmount(mount)


def test_excludes_and_includes_leave_out_what_they_name(place: Place, small: Path) -> None:
    catalog = place.folder / "catalog"
    result = place.walk(
        small, "--exclude", "d1", "--exclude", "f*2", "--include", "f000002", "-o", catalog
    )
    pruned = ["-name", "d1", "-prune", "-o", "-print0"]
    expected = sorted(oracle.find(small, *pruned).split(b"\0")[:-1])
    assert oracle.catalog_paths(catalog) == expected
    assert result["entries"] == len(expected)
    assert result["excluded"] == sum(path.endswith(b"/d1") for path in oracle.paths(small)) - sum(
        b"/d1/" in path and path.endswith(b"/d1") for path in oracle.paths(small)
    )


def test_snapshot_folders_are_left_out_unless_asked_for(place: Place, small: Path) -> None:
    trees.wide(small / ".snapshot", 3, 1)
    without, everything = place.walk(small), place.walk(small, "--no-default-excludes")
    assert without["excluded_by_default"] == 1
    oracle.same_totals(everything, oracle.totals(small))
    assert everything["entries"] - without["entries"] == 7


@pytest.mark.parametrize(("flag", "end"), [([], b"\n"), (["-0"], b"\0")])
def test_roots_may_come_from_a_file(place: Place, small: Path, flag: list[str], end: bytes) -> None:
    roots = [small / "d0", small / ("d\n1" if flag else "d1"), small / "d2"]
    roots[1].mkdir(exist_ok=True)
    listed = place.folder / "roots"
    listed.write_bytes(b"".join(os.fsencode(root) + end for root in roots))
    result = place.walk("--roots-from", listed, *flag)
    oracle.same_totals(result, oracle.totals(*roots))


def test_the_keys_of_json_are_the_documented_ones(place: Place, small: Path) -> None:
    assert set(place.walk(small)) == {
        *("schema", "run", "state", "roots", "entries", "directories", "files", "symlinks"),
        *("other", "size", "allocated", "errors", "vanished", "excluded", "seconds"),
        *("errors_by_class", "excluded_by_default", "error_examples", "quarantined"),
    }


def test_the_text_says_what_json_says(place: Place, small: Path) -> None:
    ended = place.run("walk", small, "-q")
    words = {tuple(line.split()[:2]) for line in ended.out.splitlines() if line.startswith("  ")}
    expected = oracle.totals(small)
    for name in ("entries", "directories", "files", "symlinks", "size"):
        assert (name, f"{expected[name]:,}") in words
    assert (ended.code, ended.err) == (0, "")


def test_a_plain_walk_imports_nothing_heavy(place: Place, small: Path) -> None:
    code = (
        "import json, os, sys\n"
        "leave, process = os._exit, os.getpid()\n"
        "def tell_and_leave(code):\n"
        "    if os.getpid() == process:\n"
        "        print(json.dumps(sorted(sys.modules)), file=sys.stderr, flush=True)\n"
        "    leave(code)\n"
        "os._exit = tell_and_leave\n"
        f"sys.argv = ['zfs-walk', '-q', {str(small)!r}]\n"
        "from zfs_walk.cli.walk import run\n"
        "run()\n"
    )
    process = place.start_python(code)
    ended = place.end(process)
    assert ended.code == 0
    loaded = {name.partition(".")[0] for name in json.loads(ended.err)}
    assert "zmq" in loaded
    heavy = {"numpy", "pyarrow", "pydantic", "duckdb", "rich", "yaml", "asyncio", "psutil"}
    assert loaded & heavy == set()
