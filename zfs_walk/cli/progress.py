"""How a walk stands: a live line on a terminal, elsewhere a line now and then."""

import contextlib
import os
import sys
import time
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from zfs_walk.cli.summary import human
from zfs_walk.protocol.messages import RunStatus

if TYPE_CHECKING:
    from rich.live import Live

LINE_EVERY: Final = 10.0
"""Seconds between two lines where there is no terminal."""


class Progress:
    """Shows run states on stderr; ``quiet`` shows nothing."""

    def __init__(self, *, quiet: bool) -> None:
        """Choose the way by what stderr is."""
        self._quiet = quiet
        self._terminal = not quiet and sys.stderr.isatty()
        self._live: Live | None = None
        self._next_line = time.monotonic() + LINE_EVERY
        self._rate = RateMeter()
        self._expected: int | None = None

    def __enter__(self) -> Self:
        """Nothing is shown before the first status."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the live line."""
        if self._live is not None:
            with contextlib.suppress(OSError):
                self._live.stop()

    def show(self, status: RunStatus) -> None:
        """Show where the run stands."""
        if self._quiet:
            return
        entries = status.counters.get("entries", 0) + status.live.entries
        now = time.monotonic()
        rate = self._rate.add(entries, now)
        if self._terminal:
            self._show_live(self._line(status, entries, rate))
        elif now >= self._next_line:
            self._next_line = now + LINE_EVERY
            self._write(f"zfs-walk: {self._line(status, entries, rate)}\n")

    def _show_live(self, line: str) -> None:
        # 100 ms of imports, paid while the workers are walking, and only at a terminal.
        from rich.live import Live  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        text = Text(line, no_wrap=True, overflow="ellipsis")
        # A terminal that went away must not end the walk.
        with contextlib.suppress(OSError):
            if self._live is None:
                from rich.console import Console  # noqa: PLC0415

                self._live = Live(
                    text, console=Console(stderr=True), transient=True, auto_refresh=False,
                    redirect_stdout=False, redirect_stderr=False,
                )  # fmt: skip
                self._live.start()
            self._live.update(text, refresh=True)

    def _write(self, text: str) -> None:
        # A terminal that went away must not end the walk.
        with contextlib.suppress(OSError):
            sys.stderr.write(text)
            sys.stderr.flush()

    def _line(self, status: RunStatus, entries: int, rate: float) -> str:
        errors = status.counters.get("errors", 0) + status.live.errors
        sent = status.counters.get("sent.files", 0)
        waiting = max(status.items_left, status.live.waiting)
        parts = [
            f"{entries:,} entries",
            f"{rate:,.0f}/s",
            f"{waiting:,} directories waiting",
            f"{status.agents} of {status.walkers} agents",
            f"{errors:,} errors",
            str(timedelta(seconds=status.elapsed_ms // 1000)),
        ]
        if status.options.to:
            done = sent + status.counters.get("unchanged.files", 0)
            size = human(status.counters.get("sent.bytes", 0))
            parts.insert(1, f"{sent:,} files, {size} sent, {done:,} there")
        left = self._remaining(status, entries, rate)
        if left:
            parts.append(f"about {left} left")
        if status.state != "RUNNING":
            parts.append(status.state.lower())
        elif status.waiting:
            parts.append(status.waiting)
        return " | ".join(parts)

    def _remaining(self, status: RunStatus, entries: int, rate: float) -> str:
        """From the inodes in use, where every root is a whole file system."""
        if self._expected is None:
            self._expected = inodes_in_use([root.path for root in status.roots])
        if self._expected <= entries or rate <= 0:
            return ""
        return str(timedelta(seconds=round((self._expected - entries) / rate)))


class RateMeter:
    """Entries a second, smoothed over about five seconds."""

    def __init__(self) -> None:
        """Nothing was counted yet."""
        self._last: tuple[float, int] | None = None
        self._rate = 0.0

    def add(self, entries: int, now: float) -> float:
        """Take a count; returns the rate."""
        if self._last is None:
            self._last = now, entries
        then, before = self._last
        if now - then >= 1.0 or not self._rate:
            if now > then:
                fresh = max(0.0, (entries - before) / (now - then))
                self._rate = fresh if not self._rate else 0.8 * self._rate + 0.2 * fresh
            self._last = now, entries
        return self._rate


def inodes_in_use(roots: list[bytes]) -> int:
    """How many inodes the roots' file systems use; 0 unless each root is a mount point."""
    used = 0
    for root in roots:
        try:
            if not os.path.ismount(root):
                return 0
            found = os.statvfs(root)
        except OSError:
            return 0
        if not found.f_files:
            return 0
        used += found.f_files - found.f_ffree
    return used
