"""How fast, and when, a mirror may send.

`Bucket` and the functions of windows are a core: they are given the time. `Limit` and `Pace` wait.
"""

import math
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from threading import Condition
from time import monotonic
from typing import Final, NamedTuple

from zfs_walk.sinks.errors import StoppedError

BURST: Final = 1.0
"""Seconds' worth of bytes that may pass at once after a pause."""

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY: Final = 24 * 60
WEEK: Final = 7 * DAY
"""Minutes."""

WINDOW_FORM: Final = "HH:MM-HH:MM, with days before it or not, such as mon-fri 22:00-06:00"

_WINDOW: Final = re.compile(r"(?:(\S+)\s+)?(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")


class Bucket:
    """A limit of bytes a second. Bytes queue up for it, and each place in the queue has its time.

    Args:
        rate: bytes a second; None: there is no limit.
        now: seconds of a clock that only goes forward.
    """

    def __init__(self, rate: float | None, now: float) -> None:
        self._rate = rate
        self._now = now
        self._taken = 0.0
        self._passed = 0.0

    @property
    def rate(self) -> float | None:
        """Bytes a second; None: there is no limit."""
        return self._rate

    def change(self, rate: float | None, now: float) -> None:
        """Another limit, for those who wait as well."""
        self._refill(now)
        self._rate = rate

    def take(self, size: int, now: float) -> float:
        """Queue up with so many bytes; returns the place in the queue, for `wait`."""
        self._refill(now)
        self._taken += size
        return self._taken

    def wait(self, place: float, now: float) -> float:
        """Seconds until the bytes at a place may pass; 0: now."""
        self._refill(now)
        if self._rate is None:
            return 0.0
        return max(0.0, (place - self._passed) / self._rate)

    def _refill(self, now: float) -> None:
        if self._rate is None:
            self._passed = self._taken
        else:
            passed = self._passed + self._rate * (now - self._now)
            self._passed = min(passed, self._taken + self._rate * BURST)
        self._now = now


class Window(NamedTuple):
    """A time of the week.

    Attributes:
        start: minutes since Monday 00:00.
        length: minutes, 10,080 at most.
    """

    start: int
    length: int


def parse_window(text: str) -> list[Window]:
    """The windows, one a day, that a text of the form `WINDOW_FORM` means.

    An end that is not after its start is on the next day.

    Raises:
        ValueError: it has another form.
    """
    found = _WINDOW.fullmatch(text.strip())
    if found is None:
        raise ValueError(text)
    days, *numbers = found.groups()
    hour, minute, last_hour, last_minute = map(int, numbers)
    start, end = hour * 60 + minute, last_hour * 60 + last_minute
    if start >= DAY or end > DAY or max(minute, last_minute) >= 60:  # noqa: PLR2004 -- minutes
        raise ValueError(text)
    length = (end - start) % DAY or DAY
    return [Window(day * DAY + start, length) for day in _days(days or "mon-sun")]


def _days(text: str) -> list[int]:
    """The numbers of days in words such as ``mon-fri,sun``."""
    found = set()
    for part in text.lower().split(","):
        first, _, last = part.partition("-")
        start, end = DAYS.index(first), DAYS.index(last or first)
        found |= {(start + step) % 7 for step in range((end - start) % 7 + 1)}
    return sorted(found)


def is_open(windows: Sequence[Window], moment: datetime) -> bool:
    """Whether a local time is in one of these; in none of no windows it is open, too."""
    now = _minute(moment)
    return not windows or any((now - start) % WEEK < length for start, length in windows)


def until_change(windows: Sequence[Window], moment: datetime) -> float:
    """Seconds until `is_open` says something else; infinite: never."""
    now = _minute(moment)
    edges = [edge for start, length in windows for edge in (start, start + length)]
    waits = sorted({(edge - now) % WEEK or WEEK for edge in edges})
    before = is_open(windows, moment)
    for wait in waits:
        there = (now + wait) % WEEK
        # Rounded: whoever looks at the very minute must not be told of the one before.
        inside = any((round(there, 6) - start) % WEEK < length for start, length in windows)
        if inside is not before:
            return wait * 60
    return math.inf


def _minute(moment: datetime) -> float:
    """Minutes since Monday 00:00."""
    seconds = moment.second + moment.microsecond / 1e6
    return moment.weekday() * DAY + moment.hour * 60 + moment.minute + seconds / 60


class Limit:
    """A `Bucket` that several threads share, of one mirror or of many.

    Args:
        rate: bytes a second; None: there is no limit.
    """

    def __init__(self, rate: float | None) -> None:
        self._bucket = Bucket(rate, monotonic())
        self._changed = Condition()

    @property
    def rate(self) -> float | None:
        """Bytes a second; None: there is no limit."""
        return self._bucket.rate

    def change(self, rate: float | None) -> None:
        """Another limit from now on, for those who wait as well."""
        with self._changed:
            self._bucket.change(rate, monotonic())
            self._changed.notify_all()

    def wait(self, size: int, stopped: Callable[[], bool]) -> None:
        """Return when so many bytes may pass, or when ``stopped`` says so after a `wake`."""
        with self._changed:
            place = self._bucket.take(size, monotonic())
            while not stopped() and (wait := self._bucket.wait(place, monotonic())) > 0:
                self._changed.wait(wait)

    def wake(self) -> None:
        """Let all who wait look again whether they are stopped."""
        with self._changed:
            self._changed.notify_all()


class Pace:
    """Of one mirror: its limits, and the windows in which it sends. Any thread may use it.

    Args:
        limits: all of them hold: its own, and those that it shares with others.
        windows: in which it sends; none: always.
    """

    def __init__(self, limits: Sequence[Limit] = (), windows: Sequence[Window] = ()) -> None:
        self._limits = tuple(limits)
        self._windows = tuple(windows)
        self._stopped = False

    def spend(self, size: int) -> None:
        """Return when so many bytes may be sent.

        Raises:
            StoppedError: the transfer is to end now.
        """
        for limit in self._limits:
            if limit.rate is not None:
                limit.wait(size, lambda: self._stopped)
        if self._stopped:
            raise StoppedError

    def stop(self) -> None:
        """End all waits, and all transfers at their next `spend`."""
        self._stopped = True
        for limit in self._limits:
            limit.wake()

    def go_on(self) -> None:
        """Take back a `stop`."""
        self._stopped = False

    def is_open(self) -> bool:
        """Whether this is a time to send, by the host's clock and time zone."""
        return is_open(self._windows, datetime.now().astimezone())

    def until_change(self) -> float:
        """Seconds until `is_open` says something else, as the clock goes now."""
        return until_change(self._windows, datetime.now().astimezone())
