"""A load run from outside: what its agents have reported, until it is over."""

import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from types import FrameType
from typing import Final

from zfs_walk.agents.signals import HANDLED
from zfs_walk.bus.client import Client
from zfs_walk.cli.load_screen import LoadScreen
from zfs_walk.errors import NoBrokerError
from zfs_walk.load.packing import unpacked_report
from zfs_walk.load.report import AgentReport, RunReport
from zfs_walk.protocol.loads import LoadMember, LoadSnapshot
from zfs_walk.protocol.messages import LoadPage, LoadShow, LoadStop

OVER: Final = frozenset({"DONE", "REFUSED", "ABORTED"})

LOOK_EVERY: Final = 0.25
"""Seconds between two looks at a run's state."""

REPORTS_EVERY: Final = 1.0
REPORTS_RATE: Final = 1_000_000
"""Seconds between two looks at its reports at least, and bytes of them a second at most."""


class Stops:
    """Ctrl-C, SIGTERM and SIGHUP: the first asks for the run's end, the second leaves.

    Attributes:
        asked: the run is to end.
    """

    def __init__(self) -> None:
        """Handle the signals from now on."""
        self.asked = False
        for number in HANDLED:
            signal.signal(number, self._handle)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


def report_of(client: Client, run: int) -> RunReport:
    """What a load run has come to so far.

    Raises:
        RefusedError: there is no such run.
        ZfsWalkError: the broker does not answer.
    """
    page, reports = _ask(client, run, reports=True)
    return _made(page, reports)


def follow(client: Client, run: int) -> RunReport:
    """Show a run until it is over; a broker that is away meanwhile is waited for.

    Raises:
        RefusedError: there is no such run.
    """
    stops = Stops()
    told = False
    due = 0.0
    with LoadScreen(run) as screen:
        while True:
            try:
                if stops.asked and not told:
                    client.ask(lambda name, until: LoadStop(name, until, run))
                    told = True
                wanted = time.monotonic() >= due
                page, found = _ask(client, run, reports=wanted)
            except NoBrokerError as error:
                screen.alone(str(error))
                continue
            if page.state in OVER:
                return report_of(client, run)
            screen.show(page, _made(page, found) if wanted else None)
            if wanted:
                size = sum(len(each.snapshot) for each in found)
                due = time.monotonic() + max(REPORTS_EVERY, size / REPORTS_RATE)
            time.sleep(LOOK_EVERY)


def _ask(client: Client, run: int, *, reports: bool) -> tuple[LoadPage, Sequence[LoadSnapshot]]:
    """The run, and all reports of it, if they are wanted."""
    found: list[LoadSnapshot] = []
    after = 0
    while True:
        page: LoadPage = client.ask(
            lambda name, until: LoadShow(name, until, run, reports, after)  # noqa: B023 -- asked now
        )
        found += page.reports
        if not page.more:
            return page, found
        after = found[-1].session


def _made(page: LoadPage, reports: Sequence[LoadSnapshot]) -> RunReport:
    """The report of all agents."""
    bodies = {each.session: each.snapshot for each in reports}
    members = sorted(page.members, key=lambda each: (each.host, each.name, each.session))
    stopped = page.state in {"ENDING", "DONE", "ABORTED"}
    return RunReport(
        run=page.run,
        state=page.state,
        duration=page.duration_ms / 1000,
        cut_short=page.reason if stopped else "",
        refused=page.reason if page.state == "REFUSED" else "",
        agents=tuple(_agent(each, bodies.get(each.session, b"")) for each in members),
    )


def _agent(member: LoadMember, body: bytes) -> AgentReport:
    """What an agent has reported; without a report, who it is."""
    lost = member.detail if member.state == "LOST" else ""
    refused = member.detail if member.state == "REFUSED" else ""
    if body:
        try:
            report = unpacked_report(body)
        except ValueError as error:
            refused = f"{error}; is it of another release?"
        else:
            return replace(report, lost=lost)
    return AgentReport(
        version="", host=member.host, agent=member.name, seed="", folder="", began=0.0, ended=0.0,
        cut_short="", refused=refused, consumers=(), monitor_missed=0, monitor_lost="", lost=lost,
    )  # fmt: skip
