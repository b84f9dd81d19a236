"""A call may be as short as one directory: the sum of the calls is always the same tree."""
# ruff: noqa: FBT001, PLR0917 -- pytest passes arguments by name
# ruff: noqa: PTH208 -- names are bytes or descriptors here

import os
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zfs_walk.scan.columns import ROWS
from zfs_walk.scan.interface import Budget, Directory, Scan

pytestmark = pytest.mark.usefixtures("no_leak")

ROOT = Directory(0, b"")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of 3 x 4 x 5 directories with some files in each."""
    root = tmp_path_factory.mktemp("tree")
    for path in [root / f"{a}" / f"{b}" / f"{c}" for a in "abc" for b in "wxyz" for c in range(5)]:
        path.mkdir(parents=True)
        (path / "file").write_bytes(b"12345")
        (path.parent / "other").touch()
    return root


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    entries=st.integers(0, 60),
    size=st.integers(1, 7),
    newest=st.booleans(),
    seconds=st.sampled_from([0.0, 1e-4, 60.0]),
)
def test_whatever_the_budget_the_sum_of_the_calls_is_what_find_prints(
    walker: Any,
    find: Any,
    rows: Any,
    balance: Any,
    tree: Path,
    entries: int,
    size: int,
    newest: bool,
    seconds: float,
) -> None:
    scanner = walker.scanner(tree, columns=ROWS)
    frontier = deque([ROOT])
    scans: list[Scan] = []
    while frontier:
        pop = frontier.pop if newest else frontier.popleft
        batch = [pop() for _ in range(min(size, len(frontier)))]
        scan = scanner.scan(batch, Budget(entries=entries, seconds=seconds))
        balance(batch, scan)
        assert scan.listed >= 1
        frontier.extend(scan.left)
        frontier.extend(batch[len(batch) - scan.untouched :])
        scans.append(scan)
    scanner.close()
    assert rows(*scans) == find(tree)
    assert sum(scan.listed for scan in scans) == 1 + 3 + 12 + 60


def test_left_is_oldest_first(walker: Any, tree: Path) -> None:
    scanner = walker.scanner(tree)
    scan = scanner.scan([ROOT], Budget(entries=20))
    scanner.close()
    depths = [entry.path.count(b"/") for entry in scan.left]
    assert depths == sorted(depths)
    assert depths[0] == 0
    assert depths[-1] > 0


def test_who_is_to_share_comes_back_when_there_are_two_directories_to_give(
    walker: Any, tree: Path
) -> None:
    scanner = walker.scanner(tree)
    flag = bytearray(b"\1")
    with memoryview(flag) as hurry:
        budget = Budget(hurry=hurry, least_seconds=0.0)
        scan = scanner.scan([ROOT, Directory(0, b"a/w")], budget)
        assert (scan.listed, len(scan.left), scan.untouched) == (1, 3, 1)
        alone = scanner.scan([Directory(0, b"a/w/1")], budget)
        assert (alone.listed, alone.left, alone.untouched) == (1, [], 0)
        patient = Budget(hurry=hurry, least_seconds=3600.0)
        assert scanner.scan([ROOT], patient).left == []
        flag[0] = 0
        assert scanner.scan([ROOT], budget).left == []
    scanner.close()


def test_who_is_needed_now_comes_back_after_one_directory(walker: Any, tree: Path) -> None:
    scanner = walker.scanner(tree)
    with memoryview(bytearray(b"\2")) as hurry:
        scan = scanner.scan([ROOT], Budget(hurry=hurry, least_seconds=3600.0))
        assert (scan.listed, len(scan.left)) == (1, 3)
        one = scanner.scan([Directory(0, b"a/w/1"), Directory(0, b"a/w/2")], Budget(hurry=hurry))
        assert (one.listed, one.untouched) == (1, 1)
    scanner.close()


def test_directories_to_avoid_are_found_and_not_opened(
    walker: Any, balance: Any, tree: Path
) -> None:
    scanner = walker.scanner(tree)
    whole = scanner.scan([ROOT], Budget())
    avoided = Directory(0, b"a/w")
    scan = scanner.scan([ROOT], Budget(avoid=frozenset({avoided})))
    assert scan.left == [avoided]
    balance([ROOT], scan)
    rest = scanner.scan([avoided], Budget())
    assert scan.listed + rest.listed == whole.listed
    assert len(scan.columns) + len(rest.columns) == len(whole.columns)
    scanner.close()


def test_an_empty_batch_is_an_empty_scan(walker: Any, tree: Path) -> None:
    scanner = walker.scanner(tree)
    scan = scanner.scan([], Budget(entries=0))
    assert (scan.listed, scan.left, scan.untouched, len(scan.columns)) == (0, [], 0, 0)
    scanner.close()


def test_between_calls_only_the_roots_are_open(walker: Any, tree: Path) -> None:
    scanner = walker.scanner(tree)
    before = len(os.listdir("/proc/self/fd"))
    scanner.scan([ROOT], Budget(entries=30))
    assert len(os.listdir("/proc/self/fd")) == before + 1
    scanner.close()
    assert len(os.listdir("/proc/self/fd")) == before
