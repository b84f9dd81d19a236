"""Histograms merge exactly, and say what the sorted values say."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zfs_walk.load.latency import HIGHEST, QUANTILES, Latencies, merged

durations = st.lists(st.integers(0, HIGHEST), max_size=200)


def of(values: list[int]) -> Latencies:
    made = Latencies()
    made.record(values)
    return made


@settings(deadline=None)
@given(st.lists(st.integers(1, 10**10), min_size=1, max_size=500))
def test_quantiles_are_those_of_the_sorted_values(values: list[int]) -> None:
    found = of(values).quantiles()
    ordered = sorted(values)
    assert (found.count, found.least, found.most) == (len(values), ordered[0], ordered[-1])
    assert found.mean == pytest.approx(sum(values) / len(values))
    for percent, value in zip(QUANTILES, found.at, strict=True):
        # The library rounds the rank as HdrHistogram does: half up.
        rank = max(1, int(percent / 100 * len(values) + 0.5))
        assert value == pytest.approx(ordered[rank - 1], rel=0.001, abs=1)


@settings(deadline=None)
@given(durations, durations, durations)
def test_a_merge_is_what_one_histogram_of_all_would_have(
    one: list[int], other: list[int], third: list[int]
) -> None:
    together = merged([{"read": of(one)}, {"read": of(other), "write": of(third)}])
    assert together["read"].encoded() == of(one + other).encoded()
    assert together["write"].encoded() == of(third).encoded()


@settings(deadline=None)
@given(durations)
def test_what_was_encoded_comes_back(values: list[int]) -> None:
    made = of(values)
    again = Latencies.decoded(made.encoded())
    assert again.quantiles() == made.quantiles()
    assert again.encoded() == made.encoded()


@pytest.mark.parametrize("text", [b"", b"1 2 3", b"1 2 3 nothing", b"1 2 x HISTFA=="])
def test_what_is_no_histogram_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="no histogram"):
        Latencies.decoded(text)


def test_batches_make_no_difference() -> None:
    values = [random.randrange(1000, 10**6) for _ in range(5000)]
    parts = Latencies()
    for start in range(0, len(values), 100):
        parts.record(values[start : start + 100])
    assert parts.encoded() == of(values).encoded()


def test_shares_rise_towards_all() -> None:
    shares = of(list(range(1, 100_000))).shares(5)
    assert shares[0][0] == 0.0
    assert shares == sorted(shares)
    assert shares[-1][0] > 99.99
    assert Latencies().shares(5) == []
