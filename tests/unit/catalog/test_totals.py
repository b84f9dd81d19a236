"""Totals: find's, whatever the batches, and nothing heavy to make them."""

import json
import subprocess
import sys
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from zfs_walk.catalog.totals import Accumulator, Totals
from zfs_walk.scan.columns import Columns
from zfs_walk.scan.interface import Scan, ScanError

Entry = tuple[int, int, int]

entries = st.lists(
    st.tuples(
        st.integers(0, 0o177777),
        st.integers(0, 2**63 - 1),
        st.integers(0, 2**63 - 1),
    ),
    max_size=40,
)


def columns_of(rows: list[Entry]) -> Columns:
    columns = Columns()
    for mode, size, blocks in rows:
        columns.mode.append(mode)
        columns.size.append(size)
        columns.blocks.append(blocks)
    return columns


def totals_of(rows: list[Entry]) -> Totals:
    totals = Totals()
    totals.add(columns_of(rows))
    return totals


def test_each_type_is_counted_as_find_counts_it() -> None:
    modes = [
        0o040755,
        0o040755,
        0o100644,
        0o104755,
        0o120777,
        0o020666,
        0o060660,
        0o010644,
        0o140755,
    ]
    totals = totals_of([(mode, 10, 8) for mode in modes])
    assert (totals.directories, totals.files, totals.symlinks, totals.other) == (2, 2, 1, 4)
    assert totals.entries == 9
    assert totals.size == 90
    assert totals.allocated == 9 * 8 * 512


@given(st.lists(entries, max_size=5))
def test_merging_the_totals_of_parts_gives_the_totals_of_the_whole(
    parts: list[list[Entry]],
) -> None:
    merged = Totals()
    for part in parts:
        merged.merge(totals_of(part))
    assert merged == totals_of([row for part in parts for row in part])


@given(entries)
def test_totals_are_those_of_a_plain_loop(rows: list[Entry]) -> None:
    totals = totals_of(rows)
    formats = Counter(mode & 0o170000 for mode, _, _ in rows)
    assert totals.directories == formats[0o040000]
    assert totals.files == formats[0o100000]
    assert totals.symlinks == formats[0o120000]
    assert totals.entries == len(rows)
    assert totals.size == sum(size for _, size, _ in rows)
    assert totals.allocated == 512 * sum(blocks for _, _, blocks in rows)


@given(entries, entries)
def test_adding_maps_of_counters_key_by_key_is_merging(one: list[Entry], two: list[Entry]) -> None:
    added = Counter(totals_of(one).counters())
    added.update(totals_of(two).counters())
    assert Totals.from_counters(added) == totals_of(one + two)


def test_counters_hold_no_zeros_and_come_back_whole() -> None:
    errors = [
        ScanError(b"/a", 13, "denied"),
        ScanError(b"/b", 13, "denied"),
        ScanError(b"/c", 5, "io"),
    ]
    totals = Totals()
    totals.add_scan(
        Scan(
            columns_of([(0o100644, 5, 8)]),
            errors=errors,
            vanished=2,
            excluded=3,
            excluded_default=1,
        ),
    )
    assert totals.counters() == {
        "entries": 1,
        "files": 1,
        "size": 5,
        "allocated": 4096,
        "errors": 3,
        "errors.denied": 2,
        "errors.io": 1,
        "excluded": 3,
        "excluded.default": 1,
        "vanished": 2,
    }
    assert Totals.from_counters(totals.counters()) == totals
    assert Totals().counters() == {}


def test_counters_of_other_accumulators_are_left_alone() -> None:
    assert Totals.from_counters({"files": 1, "handler.sent": 5}) == Totals(files=1)


def test_totals_are_an_accumulator() -> None:
    accumulator: Accumulator = Totals()
    accumulator.add(columns_of([(0o100644, 1, 1)]))
    assert accumulator == Totals(files=1, size=1, allocated=512)


def test_importing_totals_imports_nothing_heavy() -> None:
    code = "import sys, json, zfs_walk.catalog.totals; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert not loaded & {"pyarrow", "numpy", "duckdb", "pydantic", "click"}
