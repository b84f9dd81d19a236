"""The overview of a bus as text, for `zfs-ctl status` and `top`."""

import shutil
import sys
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from zfs_walk.cli.overview import Agent, Overview
from zfs_walk.cli.summary import human, show_path, show_text
from zfs_walk.protocol.files import ClaimLine
from zfs_walk.protocol.loads import LoadLine
from zfs_walk.protocol.records import RunLine
from zfs_walk.protocol.statistics import (
    LoadgenStatistics,
    ScoutStatistics,
    UploaderStatistics,
    WalkerStatistics,
)

OVER: Final = frozenset({"DONE", "DONE_WITH_ERRORS", "ABORTED", "REFUSED"})

SHOWN_RUNS: Final = 10
"""Finished runs that are shown; `zfs-ctl run list` has all."""

FILE_WIDTH: Final = 200
"""Columns where there is no terminal."""

BAD, WARN, GOOD, HEAD = "bold red", "yellow", "green", "bold"
STATES: Final = {"live": GOOD, "suspect": WARN, "lost": BAD}
RIGHT: Final = frozenset({"entries/s", "units", "waiting", "memory", "lag ms", "run", "entries",
                          "left", "time", "files", "writing", "events", "lost", "by poll",
                          "unsent", "there", "to send", "held", "aside", "sent",
                          "rate", "load run", "reading", "operations/s", "p50 ms",
                          "p99 ms", "missed", "agents", "of"})  # fmt: skip


def show(overview: Overview) -> RenderableType:
    """Everything, one below the other; whatever peers gave as names is made harmless."""
    parts: list[RenderableType] = [_broker(overview), _agents(overview.agents)]
    if any(isinstance(agent.status, ScoutStatistics) for agent in overview.agents):
        parts.append(_folders(overview.agents))
    if any(isinstance(agent.status, UploaderStatistics) for agent in overview.agents):
        parts.append(_mappings(overview.agents))
    if any(isinstance(agent.status, LoadgenStatistics) for agent in overview.agents):
        parts.append(_consumers(overview.agents))
    parts.append(_runs(overview.runs))
    if overview.loads:
        over = [load for load in overview.loads if load.state in OVER][:SHOWN_RUNS]
        parts.append(show_loads([each for each in overview.loads if each.state not in OVER] + over))
    return Group(*[line for part in parts for line in (Text(), part)][1:])


def show_claims(lines: Iterable[ClaimLine]) -> RenderableType:
    """Who watches what, and how well."""
    table = _table("host", "folder", "scout", "pid", "state", "monitor", "files", "time", "serving")
    for line in lines:
        table.add_row(
            Text(show_text(line.host)), Text(show_path(line.path)), Text(show_text(line.scout)),
            f"{line.pid}", Text(show_text(line.state), STATES.get(line.state, BAD)),
            Text(show_text(line.monitor)), f"{line.files:,}", _time(line.since_ms),
            _serving(line.why, serving=line.serving),
        )  # fmt: skip
    return table if table.row_count else Text("no claims: start one with `zfs-agent --role scout`")


def print_out(shown: RenderableType) -> None:
    """Print on stdout, terminal or not."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else FILE_WIDTH
    Console(width=width, highlight=False).print(shown)


def _serving(why: str, *, serving: bool) -> Text:
    return Text("yes", GOOD) if serving else Text(f"no: {show_text(why)}", BAD)


def _broker(overview: Overview) -> Text:
    broker = overview.broker
    text = Text.assemble(
        ("broker ", HEAD),
        f"on {show_text(broker.host) or '?'}, pid {broker.pid}, version"
        f" {show_text(broker.version)}, term {broker.term}, up {_time(broker.uptime_ms)}",
    )
    if not broker.secure:
        text.append("  INSECURE: no keys are demanded", BAD)
    text.append(
        f"\n  {broker.live} agents live, {broker.suspect} suspect, {broker.lost} lost;"
        f" {broker.clients} commands; {broker.running} runs on; {broker.messages:,} messages,"
        f" {broker.refused:,} refused"
        f"\n  journal {human(broker.journal_bytes)}, memory {human(broker.rss)}, CPU"
        f" {broker.cpu_ms / 1000:.1f} s, loop lag {broker.loop_lag_ms} ms,"
        f" {broker.records:,} log records, {broker.files:,} files of {broker.claims:,} folders"
    )
    return text


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style=HEAD)
    for column in columns:
        table.add_column(
            column, justify="right" if column in RIGHT else "left", overflow="fold",
            no_wrap=column in {"name", "state", "run"},
        )  # fmt: skip
    return table


def _agents(agents: tuple[Agent, ...]) -> RenderableType:
    if not agents:
        return Text("no agents: start one with `zfs-agent --role walker`", WARN)
    table = _table(
        "host", "name", "role", "state", "health", "entries/s", "units", "waiting", "memory",
        "lag ms", "version", "pid: workers",
    )  # fmt: skip
    for agent in agents:
        line, status = agent.line, agent.status
        version = Text(show_text(line.version) or "?")
        if not agent.same_version:
            version = Text(f"{show_text(line.version)} (not the broker's)", WARN)
        figures = ["", "", ""]
        pids = ""
        if status is not None:
            figures[2] = f"{status.loop_lag_ms}"
        if isinstance(status, WalkerStatistics):
            figures[:2] = f"{status.entries_per_s:,}", f"{status.waiting:,}"
            pids = " ".join(f"{w.pid}{'*' if w.busy else ''}" for w in status.workers)
        table.add_row(
            *(Text(show_text(word)) for word in (line.host, line.name, line.role)),
            Text(show_text(line.state), STATES.get(line.state, BAD)),
            Text(show_text(agent.health), GOOD if agent.health == "ok" else WARN),
            figures[0], f"{line.units}", figures[1], human(line.rss), figures[2], version,
            f"{line.pid}: {pids}",
        )  # fmt: skip
    return table


def _folders(agents: tuple[Agent, ...]) -> RenderableType:
    """What scouts watch; "by poll" is what the events had missed."""
    table = _table(
        "host", "name", "folder", "monitor", "serving", "files", "writing", "events", "lost",
        "by poll", "unsent",
    )  # fmt: skip
    for agent in agents:
        claims = agent.status.claims if isinstance(agent.status, ScoutStatistics) else ()
        for claim in claims:
            serving = _serving(claim.why, serving=claim.serving)
            monitor = show_text(claim.monitor)
            if claim.unwatched:
                monitor += f" ({claim.unwatched:,} of {claim.directories:,} folders polled)"
            table.add_row(
                Text(show_text(agent.line.host)), Text(show_text(agent.line.name)),
                Text(show_path(claim.path)), Text(monitor), serving, f"{claim.files:,}",
                f"{claim.writing:,}", f"{claim.events:,}", f"{claim.events_lost:,}",
                f"{claim.found_by_poll:,}", f"{claim.unsent:,}",
            )  # fmt: skip
    return table


def _mappings(agents: tuple[Agent, ...]) -> RenderableType:
    """What uploaders mirror."""
    table = _table(
        "host", "name", "mapping", "folder", "to", "phase", "health", "files", "there", "waiting",
        "to send", "held", "aside", "sent", "rate",
    )  # fmt: skip
    for agent in agents:
        mappings = agent.status.mappings if isinstance(agent.status, UploaderStatistics) else ()
        for mapping in mappings:
            table.add_row(
                Text(show_text(agent.line.host)), Text(show_text(agent.line.name)),
                Text(show_text(mapping.name)), Text(show_path(mapping.path)),
                Text(show_text(mapping.url)), Text(show_text(mapping.phase)),
                Text(show_text(mapping.health), GOOD if mapping.health == "ok" else WARN),
                f"{mapping.files:,}", f"{mapping.indexed:,}",
                f"{mapping.ready + mapping.taken:,}", human(mapping.bytes),
                Text(f"{mapping.held:,}", WARN if mapping.held else ""),
                Text(f"{mapping.aside:,}", BAD if mapping.aside else ""),
                f"{mapping.sent:,}", f"{human(mapping.bytes_per_s)}/s",
            )  # fmt: skip
    return table


def _runs(runs: tuple[RunLine, ...]) -> RenderableType:
    over = [run for run in runs if run.state in OVER][:SHOWN_RUNS]
    shown = [run for run in runs if run.state not in OVER] + over
    if not shown:
        return Text("no runs")
    table = _table("run", "state", "entries", "left", "time", "roots")
    for run in shown:
        table.add_row(
            f"{run.run}", run.state, f"{run.entries:,}", f"{run.items_left:,}", _time(run.age_ms),
            Text(" ".join(show_path(root) for root in run.roots)),
        )  # fmt: skip
    return table


def _consumers(agents: tuple[Agent, ...]) -> RenderableType:
    """What load generators do; one that stands by has a line, too."""
    table = _table(
        "host", "name", "stage", "load run", "consumer", "phase", "health", "writing", "reading",
        "operations/s", "p50 ms", "p99 ms", "missed",
    )  # fmt: skip
    for agent in agents:
        status = agent.status
        if not isinstance(status, LoadgenStatistics):
            continue
        who = [Text(show_text(word)) for word in (agent.line.host, agent.line.name, status.stage)]
        who.append(Text(f"{status.run or ''}"))
        if not status.consumers:
            table.add_row(*who)
        for each in status.consumers:
            table.add_row(
                *who, Text(show_text(each.name)), Text(show_text(each.phase)),
                Text(show_text(each.health), GOOD if each.health == "ok" else WARN),
                f"{human(each.written_per_s)}/s", f"{human(each.read_per_s)}/s",
                f"{each.operations_per_s:,}", f"{each.p50_ns / 1e6:.3g}",
                f"{each.p99_ns / 1e6:.3g}", Text(f"{each.missed:,}", WARN if each.missed else ""),
            )  # fmt: skip
    return table


def show_loads(loads: Iterable[LoadLine]) -> RenderableType:
    """Load runs."""
    table = _table("load run", "state", "agents", "lost", "time", "of", "reason")
    for load in loads:
        table.add_row(
            f"{load.run}", load.state, f"{load.agents}",
            Text(f"{load.lost}" if load.lost else "", BAD), _time(load.elapsed_ms),
            _time(load.duration_ms), Text(show_text(load.reason)),
        )  # fmt: skip
    return table if table.row_count else Text("no load runs")


def _time(milliseconds: int) -> str:
    return str(timedelta(seconds=milliseconds // 1000))
