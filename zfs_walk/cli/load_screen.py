"""A load run while it goes on: a live screen on a terminal, elsewhere a line a second on stderr."""

import contextlib
import sys
import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from zfs_walk.cli.summary import human, show_text
from zfs_walk.load.figures import COUNTED, VERIFY
from zfs_walk.load.latency import Latencies, merged
from zfs_walk.load.report import ConsumerReport, RunReport
from zfs_walk.load.series import Point, lately, together
from zfs_walk.protocol.messages import LoadPage

LINE_EVERY: Final = 1.0
"""Seconds between two lines where there is no terminal."""

BAD, HEAD = "bold red", "bold"


class LoadScreen:
    """Shows a run as it stands.

    Args:
        run: its number.
    """

    def __init__(self, run: int) -> None:
        self._run = run
        self._live: Live | None = None
        self._terminal = sys.stdout.isatty()
        self._report: RunReport | None = None
        self._line_at = 0.0
        self._state = ""

    def __enter__(self) -> Self:
        """Nothing is shown yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove what is live."""
        if self._live is not None:
            with contextlib.suppress(OSError):
                self._live.stop()

    def show(self, page: LoadPage, report: RunReport | None) -> None:
        """Show where the run stands.

        Args:
            page: its state.
            report: of its agents; None: as it was.
        """
        self._report = report or self._report
        if self._terminal:
            self._draw(screen(page, self._report))
            return
        now = time.monotonic()
        if now >= self._line_at or page.state != self._state:
            self._line_at, self._state = now + LINE_EVERY, page.state
            self._write(line(page, self._report))

    def alone(self, trouble: str) -> None:
        """The broker does not answer: its agents go on by themselves."""
        text = f"load run {self._run}: {trouble} The agents go on by themselves; trying again."
        if self._terminal:
            self._draw(Text(text, BAD))
        else:
            self._write(text)

    def _draw(self, shown: RenderableType) -> None:
        if self._live is None:
            console = Console(highlight=False)
            self._live = Live(shown, console=console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(shown, refresh=True)

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()


def line(page: LoadPage, report: RunReport | None) -> str:
    """The run in a line."""
    text = f"load run {page.run}: {_state(page)}"
    if report is None or not report.consumers:
        return text
    written, read, operations = lately(_all_series(report))
    p50, p99 = _quantiles(merged(each.latencies for each in report.figures))
    text += (
        f", writing {human(written)}/s, reading {human(read)}/s, {operations:,.0f} operations/s,"
        f" p50 {p50}, p99 {p99}"
    )
    errors = sum(each.errors + each.faults for each in report.figures)
    missed = sum(each.missed for each in report.consumers)
    lost = sum(bool(each.lost) for each in report.agents)
    for count, what in (
        (errors, "errors and faults"), (missed, "missed heartbeats"), (lost, "agents lost"),
    ):  # fmt: skip
        text += f", {count} {what}" if count else ""
    return text


def _state(page: LoadPage) -> str:
    if page.state == "WAITING":
        return f"{page.there} of {page.wanted} load generators stand by"
    seconds = f"{page.elapsed_ms / 1000:.0f} of {page.duration_ms / 1000:g} s"
    ready = sum(each.state == "READY" for each in page.members)
    said = {
        "PREPARING": f"preparing, {ready} of {page.wanted} agents are ready",
        "RUNNING": f"running, {seconds}",
        "ENDING": f"ending, {seconds}",
    }.get(page.state, page.state)
    return f"{said} ({page.reason})" if page.reason else said


def _all_series(report: RunReport) -> list[Point]:
    return together([each.series for each in report.consumers])


def _quantiles(latencies: dict[str, Latencies]) -> tuple[str, str]:
    """The median and the 99th percentile, of the kind of operation that there are most of."""
    kinds = [
        found.quantiles() for kind, found in latencies.items() if kind in COUNTED and kind != VERIFY
    ]
    most = max(kinds, key=lambda found: found.count, default=None)
    if most is None or not most.count:
        return "-", "-"
    return _time(most.at[0]), _time(most.at[2])


def _time(nanoseconds: float) -> str:
    return f"{nanoseconds / 1e6:.3g} ms"


def screen(page: LoadPage, report: RunReport | None) -> RenderableType:
    """The run with each of its consumers."""
    head = Text.assemble((f"load run {page.run} ", HEAD), show_text(_state(page)))
    head.append("   Ctrl-C ends it", "dim")
    parts: list[RenderableType] = [head]
    parts += [
        Text(f"{show_text(each.name)} on {show_text(each.host)} is LOST: {show_text(each.detail)}",
             BAD)
        for each in page.members
        if each.state == "LOST"
    ]  # fmt: skip
    if report is not None and report.consumers:
        parts += [Text(), _table(report)]
    return Group(*parts)


def _table(report: RunReport) -> Table:
    table = Table(box=None, pad_edge=False, header_style=HEAD)
    for name in ("host", "agent", "consumer"):
        table.add_column(name, overflow="fold")
    for name in (
        "writing", "reading", "operations/s", "p50", "p99", "rollovers", "errors", "faults",
        "missed",
    ):  # fmt: skip
        table.add_column(name, justify="right")
    for agent in report.agents:
        for each in agent.consumers:
            who = show_text(agent.host), show_text(agent.agent), show_text(each.spec.name)
            table.add_row(*_row(who, [each], bad=not each.ok))
    table.add_row(*_row(("in all", "", ""), report.consumers, bad=not report.ok))
    return table


def _row(who: tuple[str, str, str], consumers: list[ConsumerReport], *, bad: bool) -> list[Text]:
    figures = [each.figures for each in consumers]
    written, read, operations = lately(together([each.series for each in consumers]))
    counts = (
        sum(each.rollovers for each in figures), sum(each.errors for each in figures),
        sum(each.faults for each in figures), sum(each.missed for each in consumers),
    )  # fmt: skip
    cells = (
        *who, f"{human(written)}/s", f"{human(read)}/s", f"{operations:,.0f}",
        *_quantiles(merged(each.latencies for each in figures)), *(f"{each:,}" for each in counts),
    )  # fmt: skip
    return [Text(cell, BAD if bad else "") for cell in cells]
