"""What consumers had done when: points of a time series."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

LATELY: Final = 2.0
"""Seconds that a speed of this moment is taken over."""


@dataclass(frozen=True, slots=True)
class Point:
    """What a consumer had done by a moment.

    Attributes:
        seconds: since the run began.
        written: bytes; ``read``: bytes, verification's too.
        operations: so many.
    """

    seconds: float
    written: int
    read: int
    operations: int


def together(all_of_them: Sequence[Sequence[Point]]) -> list[Point]:
    """What several had done when, added up, at the moments of the one that has most of them."""
    series = [[Point(0.0, 0, 0, 0), *each] for each in all_of_them if each]
    if not series:
        return []
    end = max(each[-1].seconds for each in series)
    moments = [point.seconds for point in max(series, key=len)]
    moments += [end] * (moments[-1] < end)
    found = []
    for moment in moments:
        done = [_done_by(each, moment) for each in series]
        found.append(Point(moment, *(round(sum(column)) for column in zip(*done, strict=True))))
    return found


def _done_by(series: Sequence[Point], moment: float) -> tuple[float, float, float]:
    """What one had done, between two points as if it had gone on evenly."""
    at = bisect_right(series, moment, key=lambda point: point.seconds)
    before, after = series[at - 1], series[min(at, len(series) - 1)]
    step = after.seconds - before.seconds
    share = (moment - before.seconds) / step if step > 0 else 0.0
    return (
        before.written + share * (after.written - before.written),
        before.read + share * (after.read - before.read),
        before.operations + share * (after.operations - before.operations),
    )


def lately(series: Sequence[Point]) -> tuple[float, float, float]:
    """Bytes written, bytes read and operations a second, over the last `LATELY` seconds."""
    if not series:
        return 0.0, 0.0, 0.0
    last = series[-1]
    first = next(
        (each for each in reversed(series) if last.seconds - each.seconds >= LATELY),
        Point(0.0, 0, 0, 0),
    )
    seconds = max(1e-9, last.seconds - first.seconds)
    return (
        (last.written - first.written) / seconds,
        (last.read - first.read) / seconds,
        (last.operations - first.operations) / seconds,
    )
