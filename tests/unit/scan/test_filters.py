"""Excludes are find's -prune; includes are exceptions to them."""
# ruff: noqa: FBT001 -- pytest passes arguments by name

import os
import pickle
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from zfs_walk.scan.filters import Filter, Verdict, matcher
from zfs_walk.scan.interface import Directory, NameBlock

pytestmark = pytest.mark.usefixtures("no_leak")

ROOT = Directory(0, b"")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Directories and files with names that patterns like to confuse."""
    root = tmp_path / "root"
    for name in (
        *("src/build/x.o", "src/main.c", "src/.hidden/x.o", "build/x.o", "logs/a.gz"),
        *("logs/old/a.gz", "logs/old/b.txt", "Build/y", "[ab]/z", "é/é.txt", "tmp/tmp/tmp"),
        *("a/b/c/d.txt", "a/c/d.txt", "x*y/q", "deep/src/main.c", "link.d/f"),
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * len(name))
    (root / "tmp.d").symlink_to("tmp")
    (root / "tmpfile").touch()
    return root


@pytest.mark.parametrize(
    "pattern",
    [
        *("build", "*.o", ".hidden", "*", "?uild", "[bB]uild", "[!b]uild", "[^b]uild", "x.?", "?"),
        *("tmp", "*tmp*", r"\[ab\]", "[[]ab]", "[ab]", "*.[co]", "x[*]y", r"x\*y", "?.txt", ".*"),
        *("[[:upper:]]*", "[[:alpha:][:digit:]]", "[", "[]", "[a", "*[!a-m]", "[a-cx-z]", "[b-a]"),
        *("[]]", "[!]]*", "no such name", "é*", "[é]", r"\build", "a", "-*", "**.gz", "[[:no:]]"),
    ],
)
def test_a_pattern_without_slash_is_find_name_prune(
    walker: Any, find: Any, tree: Path, pattern: str
) -> None:
    # The root is never filtered, in find it is: -mindepth 1 spares it there, and it is added here.
    expected = [
        find(tree)[0],
        *find(tree, "-mindepth", "1", "-name", pattern, "-prune", "-o", "-true"),
    ]
    pruned = {
        line
        for line in subprocess.run(
            ["/usr/bin/find", tree, "-mindepth", "1", "-name", pattern, "-prune", "-print0"],
            capture_output=True,
            check=True,
        ).stdout.split(b"\0")
        if line
    }
    expected = [entry for entry in expected if entry.path not in pruned]
    rules = Filter(excludes=(pattern,))
    assert walker.entries(tree, filter=rules) == sorted(expected)
    scan = walker.scan(tree, filter=rules)
    assert (scan.excluded, scan.excluded_default) == (len(pruned), 0)
    assert len(walker.scan(tree, filter=rules, names_only=True).columns) == len(expected)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    names=st.sets(
        st.binary(min_size=1, max_size=5).filter(
            lambda name: not set(name) & set(b"/\0") and name not in {b".", b".."}
        )
        | st.text("ab]-[!^\\*?é", min_size=1, max_size=4).map(os.fsencode),
        min_size=1,
        max_size=12,
    ),
    pattern=st.text("ab]-[!^\\*?é", min_size=1, max_size=6),
)
def test_any_pattern_matches_what_find_name_matches(
    walker: Any, names: set[bytes], pattern: str
) -> None:
    try:
        rules = Filter(excludes=(pattern,))
    except ValueError:
        assume(False)
    assume(all("[" not in name for name in pattern.split("[")[2:]))
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            os.close(os.open(os.path.join(os.fsencode(folder), name), os.O_CREAT))  # noqa: PTH118
        done = subprocess.run(
            ["/usr/bin/find", folder, "-mindepth", "1", "!", "-name", pattern, "-printf", r"%f\0"],
            capture_output=True,
            check=True,
            env={"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]},
        )
        seen = [
            entry.path.rpartition(b"/")[2]
            for entry in walker.entries(folder, filter=rules)
            if entry.depth
        ]
        assert seen == sorted(done.stdout.split(b"\0")[:-1])


@pytest.mark.parametrize(
    ("pattern", "regex"),
    [
        ("/build", "build"),
        ("logs/*.gz", "logs/[^/]*\\.gz"),
        ("/logs/*.gz", "logs/[^/]*\\.gz"),
        ("logs/**.gz", "logs/.*\\.gz"),
        ("src/*", "src/[^/]*"),
        ("*/src", "[^/]*/src"),
        ("**/src/main.c", "(.*/)?src/main\\.c"),
        ("a/**/d.txt", "a/(.*/)?d\\.txt"),
        ("a/?/d.txt", "a/[^/]/d\\.txt"),
        ("[!x]/b", "[^x/]/b"),
        ("src/.hidden/x.o", "src/\\.hidden/x\\.o"),
        ("tmp/**", "tmp/.*"),
    ],
)
def test_a_pattern_with_slash_matches_the_path_below_the_root(
    walker: Any, find: Any, tree: Path, pattern: str, regex: str
) -> None:
    expression = ["-regextype", "posix-extended", "-regex", f"{tree}/{regex}", "-prune"]
    pruned = find(tree, *expression)
    expected = set(find(tree, *expression, "-o", "-true")) - set(pruned)
    assert pruned
    rules = Filter(excludes=(pattern,))
    assert walker.entries(tree, filter=rules) == sorted(expected)


def test_a_set_in_a_path_never_matches_a_slash(walker: Any, find: Any, tree: Path) -> None:
    assert (tree / "a" / "b").is_dir()
    for pattern in ("/a[!x]b", "/a[/]b", "/a?b", "/a*b"):
        assert walker.entries(tree, filter=Filter(excludes=(pattern,))) == find(tree)


def test_a_trailing_slash_matches_directories_only(walker: Any, find: Any, tree: Path) -> None:
    expression = ["-mindepth", "1", "-name", "tmp*", "-type", "d", "-prune"]
    expected = set(find(tree, *expression, "-o", "-true")) - set(find(tree, *expression))
    for pattern in ("tmp*/", "/tmp*/"):
        seen = walker.entries(tree, filter=Filter(excludes=(pattern,)))
        assert seen == sorted({*expected, find(tree)[0]})


def test_an_include_is_an_exception_and_never_narrows(walker: Any, find: Any, tree: Path) -> None:
    rules = Filter(excludes=("*.o", "logs"), includes=("build/x.o", "main.c"))
    expression = [
        "(",
        "-name",
        "logs",
        "-o",
        "-name",
        "*.o",
        "!",
        "-path",
        f"{tree}/build/x.o",
        ")",
        "-prune",
    ]
    expected = set(find(tree, *expression, "-o", "-true")) - set(find(tree, *expression))
    assert walker.entries(tree, filter=rules) == sorted(expected)
    assert walker.entries(tree, filter=Filter(includes=("main.c",))) == find(tree)


@pytest.fixture
def snapshots(folder: Path) -> Path:
    """A tree with snapshot folders, and with some that only look like ones."""
    for name in (
        *(".snapshot/daily/file", "a/.snapshot/x", ".zfs/snapshot/y/file", ".zfs/shares/z"),
        *("snapshot/real", "b/snapshot/real"),
    ):
        (folder / name).mkdir(parents=True)
    (folder / "a" / "file").touch()
    (folder / "b" / ".snapshot").touch()
    return folder


@pytest.mark.parametrize("more", [(), ("no such name",)])
@pytest.mark.parametrize("names_only", [False, True])
def test_snapshot_folders_are_left_out_by_default(
    walker: Any,
    find: Any,
    snapshots: Path,
    more: tuple[str, ...],
    names_only: bool,
) -> None:
    default = [
        "-type",
        "d",
        "(",
        "-name",
        ".snapshot",
        "-o",
        "-path",
        "*/.zfs/snapshot",
        ")",
        "-prune",
    ]
    expected = sorted(
        set(find(snapshots, *default, "-o", "-true")) - set(find(snapshots, *default))
    )
    rules = Filter(excludes=more)
    seen = walker.entries(snapshots, filter=rules, names_only=names_only)
    assert [entry.path for entry in seen] == [entry.path for entry in expected]
    scan = walker.scan(snapshots, filter=rules)
    assert (scan.excluded, scan.excluded_default) == (3, 3)


def test_the_defaults_can_be_switched_off_or_excepted(
    walker: Any, find: Any, snapshots: Path
) -> None:
    assert walker.entries(snapshots, filter=Filter(defaults=False)) == find(snapshots)
    rules = Filter(includes=(".snapshot", ".zfs/snapshot"))
    assert walker.entries(snapshots, filter=rules) == find(snapshots)


def test_a_default_that_a_user_also_names_counts_as_the_users(walker: Any, snapshots: Path) -> None:
    scan = walker.scan(snapshots, filter=Filter(excludes=(".snapshot/",)))
    assert (scan.excluded, scan.excluded_default) == (3, 1)


def test_a_root_is_never_filtered(walker: Any, find: Any, snapshots: Path) -> None:
    root = snapshots / ".snapshot"
    assert walker.entries(root) == find(root)
    assert len(walker.entries(root, filter=Filter(excludes=("*",)))) == 1


def test_parts_are_filtered_and_listings_are_not(walker: Any, snapshots: Path) -> None:
    scanner = walker.scanner(snapshots, filter=Filter(excludes=("a",)))
    (block,) = scanner.list_names(ROOT)
    assert sorted(block.names) == [b".snapshot", b".zfs", b"a", b"b", b"snapshot"]
    scan = scanner.scan_names(ROOT, NameBlock(*block), own=False)
    scanner.close()
    assert (len(scan.columns), scan.excluded, scan.excluded_default) == (3, 2, 1)
    assert sorted(left.path for left in scan.left) == [b".zfs", b"b", b"snapshot"]


@pytest.mark.parametrize("pattern", ["", "/", "//", "a\0b", "a\\"])
@pytest.mark.parametrize("make", [lambda it: Filter(excludes=it), lambda it: Filter(includes=it)])
def test_a_bad_pattern_is_refused_by_name(pattern: str, make: Any) -> None:
    with pytest.raises(ValueError, match="pattern") as caught:
        make(("good", pattern))
    assert repr(pattern) in str(caught.value)


def test_a_filter_is_a_value() -> None:
    rules = Filter(excludes=("a",), includes=("b",))
    assert rules == Filter(("a",), ("b",))
    assert hash(rules) == hash(Filter(("a",), ("b",)))
    assert pickle.loads(pickle.dumps(rules)) == rules  # noqa: S301 -- our own
    assert matcher(rules) is matcher(Filter(("a",), ("b",)))


def test_only_exclude_patterns_make_every_entry_be_judged() -> None:
    assert not matcher(Filter()).every
    assert not matcher(Filter(includes=("a",))).every
    assert matcher(Filter(excludes=("a",), defaults=False)).every
    verdict = matcher(Filter()).judge("a", "", "root", is_directory=True)
    assert verdict is Verdict.KEEP
