"""How long operations took: histograms that merge exactly.

They are HDR histograms of three significant digits, from 1 ns to 2 hours. One value costs the
library 0.9 us to record, which a fast device would notice; so values are kept as they are and
recorded in batches, those of one bin at once (0.2 us each, and 0.9 us for each bin).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hdrh.histogram import HdrHistogram

LOWEST: Final = 1
HIGHEST: Final = 2 * 3600 * 1_000_000_000
DIGITS: Final = 3
"""Nanoseconds that are told apart: three digits are an error of 0.1 % at most."""

QUANTILES: Final = (50.0, 90.0, 99.0, 99.9, 99.99)
"""Percent of the operations that a report tells about."""

_BITS: Final = 11
"""Of 2,048, the bins that three digits need."""

BATCH: Final = 8_192
"""Values that wait to be recorded: 64 KiB."""


@dataclass(frozen=True, slots=True)
class Quantiles:
    """What a histogram says, in nanoseconds.

    Attributes:
        count: operations.
        least: the fastest; ``most``: the slowest; ``mean``: of all of them.
        at: for each of `QUANTILES`, what so many percent did not exceed.
    """

    count: int
    least: int
    mean: float
    at: tuple[int, ...]
    most: int


class Latencies:
    """Durations of one kind of operation, in nanoseconds."""

    def __init__(self) -> None:
        """Nothing was measured yet."""
        self._histogram = HdrHistogram(LOWEST, HIGHEST, DIGITS)
        self._sum = 0
        self._least = HIGHEST
        self._most = 0

    def record(self, durations: Sequence[int]) -> None:
        """Add durations; what is longer than `HIGHEST` counts as that."""
        if not durations:
            return
        # The lowest value of each one's bin: the library has 2,048 bins for each power of two.
        bins = Counter(
            [
                value >> (shift := value.bit_length() - _BITS) << shift if value >> _BITS else value
                for value in durations
            ]
        )
        record = self._histogram.record_value
        for value, count in bins.items():
            record(min(max(value, LOWEST), HIGHEST), count)
        self._sum += sum(durations)
        least, most = min(durations), max(durations)
        self._least, self._most = min(self._least, least), max(self._most, most)

    def add(self, other: "Latencies") -> None:
        """Add another one's, as if all had been recorded here."""
        self._histogram.add(other._histogram)  # noqa: SLF001 -- of its own class
        self._sum += other._sum  # noqa: SLF001
        self._least = min(self._least, other._least)  # noqa: SLF001
        self._most = max(self._most, other._most)  # noqa: SLF001

    def encoded(self) -> bytes:
        """As text that `decoded` and other tools read: HdrHistogram's V2 compressed form, base64.

        Three numbers go before it, with blanks between: least, most, and the sum.
        """
        head = f"{self._least} {self._most} {self._sum} ".encode()
        return head + bytes(self._histogram.encode())

    @classmethod
    def decoded(cls, text: bytes) -> "Latencies":
        """What `encoded` gave.

        Raises:
            ValueError: it is something else.
        """
        try:
            least, most, total, body = text.split(b" ", 3)
            made = cls()
            made._histogram.decode_and_add(body)
            made._least, made._most, made._sum = int(least), int(most), int(total)
        except Exception as error:  # the library raises what its parts do
            message = "it is no histogram"
            raise ValueError(message) from error
        return made

    @property
    def count(self) -> int:
        """Operations."""
        return int(self._histogram.get_total_count())

    def quantiles(self) -> Quantiles:
        """What they come to; all 0 without any."""
        count = self.count
        if not count:
            return Quantiles(0, 0, 0.0, (0,) * len(QUANTILES), 0)
        values = self._histogram.get_percentile_to_value_dict(list(QUANTILES))
        at = tuple(min(self._most, int(values[each])) for each in QUANTILES)
        return Quantiles(count, self._least, self._sum / count, at, self._most)

    def shares(self, steps: int) -> list[tuple[float, int]]:
        """The distribution for a chart: (percent, nanoseconds not exceeded), ever closer to 100."""
        found: list[tuple[float, int]] = []
        if self.count:
            for step in range(steps * 5 + 1):
                percent = 100.0 - 100.0 * 10 ** (-step / steps)
                value = int(self._histogram.get_value_at_percentile(percent))
                found.append((percent, min(value, self._most)))
        return found


def merged(all_of_them: Iterable[Mapping[str, Latencies]]) -> dict[str, Latencies]:
    """The sum of several, kind by kind; theirs stay as they are."""
    total: dict[str, Latencies] = {}
    for each in all_of_them:
        for kind, latencies in each.items():
            total.setdefault(kind, Latencies()).add(latencies)
    return total
