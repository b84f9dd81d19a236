"""Draws of which each kind has its share at any time."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zfs_walk.load.shares import DECK, Deck, Shares, SizeDeck

weights = st.lists(st.integers(1, 10**9), min_size=1, max_size=40)


@settings(deadline=None)
@given(weights, st.integers(1, 2000))
def test_each_has_its_share_after_any_number_of_draws(weights: list[int], draws: int) -> None:
    shares, total = Shares(weights), sum(weights)
    dealt = Counter[int]()
    for n in range(1, draws + 1):
        dealt[shares.deal()] += 1
        if n % 50 and n != draws:
            continue
        for number, weight in enumerate(weights):
            due = n * weight / total
            allowed = (1 + len(weights) * weight / total) / 2
            assert abs(dealt[number] - due) <= allowed + 1e-6


def test_a_deck_has_the_same_in_an_order_of_its_own() -> None:
    shares, one, two = Shares([5, 3, 2]), Deck("a", [5, 3, 2]), Deck("b", [5, 3, 2])
    plain = [shares.deal() for _ in range(DECK)]
    first, second = ([deck.draw() for _ in range(DECK)] for deck in (one, two))
    assert sorted(first) == sorted(second) == sorted(plain)
    assert len({tuple(plain), tuple(first), tuple(second)}) == 3
    again = Deck("a", [5, 3, 2])
    assert first == [again.draw() for _ in range(DECK)]


def test_sizes_of_every_power_of_two_come_as_often_as_they_are() -> None:
    sizes = [(0, 700), *((size, 1 + size % 7) for size in range(1, 600)), (5000, 90), (2**40, 1)]
    deck = SizeDeck("seed", tuple(sizes))
    drawn = Counter(deck.roll() for _ in range(10_000))
    total = sum(number for _, number in sizes)
    for bits in {size.bit_length() for size, _ in sizes}:
        due = sum(number for size, number in sizes if size.bit_length() == bits) * 10_000 / total
        found = sum(number for size, number in drawn.items() if size.bit_length() == bits)
        assert found == pytest.approx(due, rel=0.005, abs=1)
    for size, number in sizes:
        assert drawn[size] == pytest.approx(number * 10_000 / total, rel=0.05, abs=1.5)
