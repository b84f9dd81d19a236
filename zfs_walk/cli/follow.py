"""Submitting a run, following it to its end, and printing what it found."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

import click

from zfs_walk.bus.client import Client
from zfs_walk.cli.arguments import WalkArguments
from zfs_walk.cli.interrupts import Interrupts
from zfs_walk.cli.progress import Progress
from zfs_walk.cli.summary import as_json, as_text
from zfs_walk.errors import RunAbortedError, RunPausedError, RunStalledError
from zfs_walk.protocol.messages import Continue, Pause, RunStatus, Status, Submit, Submitted
from zfs_walk.protocol.records import RootRecord, WalkOptions

LOOK_MS = 200
"""How long one STATUS waits for the end of the run: the pace of the progress line."""

FINISHED = frozenset({"DONE", "DONE_WITH_ERRORS"})


def submit(
    client: Client, roots: Sequence[RootRecord], options: WalkOptions, min_agents: int
) -> int:
    """Begin a run; returns its number."""
    reply: Submitted = client.ask(
        lambda name, deadline: Submit(name, deadline, tuple(roots), options, min_agents)
    )
    return reply.run


def go_on(client: Client, run: int) -> None:
    """Go on with a paused run; one that has finished only wants to be followed to its end."""
    status: RunStatus = client.ask(lambda name, deadline: Status(name, deadline, run, 0))
    if status.state not in FINISHED:
        client.ask(lambda name, deadline: Continue(name, deadline, run))


@dataclass(slots=True)
class Follow:
    """Follows a run to its end, or to a pause.

    Attributes:
        client: at the run's broker.
        run: its number.
        interrupts: the user's.
        quiet: show no progress.
        way_back: the sentence that says how to go on.
        patience: seconds that it may wait for somebody to walk it; None: for ever.
    """

    client: Client
    run: int
    interrupts: Interrupts
    quiet: bool
    way_back: str
    patience: float | None

    def to_the_end(self) -> RunStatus:
        """Show progress until the run is over.

        Raises:
            RunPausedError: it was paused, by Ctrl-C or by someone else.
            RunStalledError: no agent can go on with it, or none came in time.
            RunAbortedError: it was aborted.
        """
        with Progress(quiet=self.quiet) as progress:
            alone_since: float | None = None
            asked = False
            while True:
                status: RunStatus = self.client.ask(
                    lambda name, deadline: Status(name, deadline, self.run, LOOK_MS)
                )
                progress.show(status)
                if status.state in FINISHED:
                    return status
                if status.state == "ABORTED":
                    raise RunAbortedError(run=self.run, reason=status.reason)
                if status.state == "PAUSED":
                    self._paused(status)
                if self.interrupts.asked and not asked:
                    asked = True
                    self._pause()
                alone_since = self._mind(status, alone_since)

    def _pause(self) -> None:
        self.client.ask(lambda name, deadline: Pause(name, deadline, self.run))

    def _paused(self, status: RunStatus) -> None:
        if status.reason.startswith("no agent can go on"):
            raise RunStalledError(run=self.run, reason=status.reason, resume=self.way_back)
        raise RunPausedError(run=self.run, resume=self.way_back)

    def _mind(self, status: RunStatus, alone_since: float | None) -> float | None:
        """On a bus without any agent that could walk it, a run does not wait for ever."""
        if self.patience is None or not status.waiting or status.state != "RUNNING":
            return None
        now = time.monotonic()
        if alone_since is None:
            return now
        if now - alone_since > self.patience:
            self._pause()
            raise RunStalledError(run=self.run, reason=status.waiting, resume=self.way_back)
        return alone_since


def print_result(status: RunStatus, arguments: WalkArguments) -> int:
    """Print what a run found; returns the exit code."""
    if arguments.json:
        click.echo(json.dumps(as_json(status), indent=2))
    else:
        click.echo(as_text(status))
    troubled = status.counters.get("errors", 0) or status.state == "DONE_WITH_ERRORS"
    return 1 if troubled else 0
