"""``zfs-walk``: walks trees and says what is there."""

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import click

from zfs_walk import __version__
from zfs_walk.bus.client import Client
from zfs_walk.bus.sockets import Bus
from zfs_walk.cli.command import host_name, run_command, set_up_logging, shared
from zfs_walk.cli.keep import finish_catalog, prepare_catalog
from zfs_walk.cli.private import new_state, private_bus, remove_state, state_of
from zfs_walk.cli.progress import Progress
from zfs_walk.cli.roots import find_roots
from zfs_walk.cli.state import state_base
from zfs_walk.cli.summary import as_json, as_text
from zfs_walk.errors import (
    RunAbortedError,
    RunPausedError,
    RunStalledError,
    WrongUseError,
    ZfsWalkError,
)
from zfs_walk.protocol.messages import (
    Continue,
    Done,
    Pause,
    RunStatus,
    Status,
    Submit,
    Submitted,
)
from zfs_walk.protocol.records import RootRecord, WalkOptions
from zfs_walk.scan.filters import Filter

LOOK_MS = 200
"""How long one STATUS waits for the end of the run: the pace of the progress line."""

NOBODY_PATIENCE = 30.0
"""Seconds that a run on a bus may wait for a first agent (``--timeout``)."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asks for."""

    quiet: bool
    as_json: bool
    timeout: float


class Interrupts:
    """Ctrl-C and SIGTERM: the first asks for a pause, the second ends the process."""

    def __init__(self) -> None:
        """Handle both from now on."""
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.asked:
            os._exit(128 + number)
        self.asked = True


@click.command(
    epilog="""Examples:

\b
  zfs-walk /data
  zfs-walk /data /home --exclude '*.tmp' --one-file-system
  zfs-walk /data -o /data-catalog && zfs-catalog info /data-catalog
  zfs-walk /data --broker tcp://127.0.0.1:5570 --detach

Ctrl-C pauses the run and says how to go on; a second Ctrl-C ends at once.

Exit codes: 0 all well, 1 done, but some items could not be read (they are listed), 2 wrong use,
4 no broker, 5 another protocol version, 6 state folder in use or unusable, 7 the journal can't be
written, 8 the run can't go on, 9 the catalog can't be used, 10 an extra is missing, 11 paused, 12
aborted, 13 a process died."""
)
@click.argument("paths", nargs=-1, metavar="PATH...", type=click.Path())
@click.option("--roots-from", type=click.File("rb"), help="File with one path a line; - is stdin.")
@click.option("-0", "null", is_flag=True, help="Paths of --roots-from end with NUL.")
@click.option("--broker", metavar="ENDPOINT", help="Walk on this bus instead of privately.")
@click.option("--workers", type=click.IntRange(1, 1024), default=os.cpu_count() or 1,
              help="Worker processes of a private run; default: one per core.")  # fmt: skip
@click.option("--names-only", is_flag=True, help="Count names and types; no sizes, no stat.")
@click.option("--one-file-system", "-x", is_flag=True, help="Do not enter other file systems.")
@click.option("--max-depth", type=click.IntRange(0), help="As find -maxdepth.")
@click.option("--exclude", multiple=True, metavar="GLOB",
              help="Leave out what matches and all below; with a / inside: the path below the root;"
              " with a / at the end: directories only.")  # fmt: skip
@click.option("--include", multiple=True, metavar="GLOB", help="Exceptions to the excludes.")
@click.option("--no-default-excludes", is_flag=True,
              help="Walk snapshot folders (.snapshot, .zfs/snapshot) too.")  # fmt: skip
@click.option("-o", "--output", metavar="DIR", help="Store a row per entry there (a catalog).")
@click.option("--json", "json_", is_flag=True, help="Print the result as JSON (docs/json.md).")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@click.option("--resume", type=int, metavar="RUN", help="Go on with a paused run.")
@click.option("--attach", type=int, metavar="RUN", help="Follow a run of a bus.")
@click.option("--detach", is_flag=True, help="Submit to a bus and print the run's number.")
@click.option("--min-agents", type=click.IntRange(1), default=1, help="Wait for so many agents.")
@click.option("--part-limit", type=click.IntRange(1), default=50_000, hidden=True)
@click.option("--dir-timeout", type=float, default=300.0, show_default=True,
              help="Seconds that one directory may take.")  # fmt: skip
@click.option("--timeout", type=float, default=NOBODY_PATIENCE, show_default=True,
              help="Seconds to wait for a broker, and for a first agent.")  # fmt: skip
@click.option("--state", metavar="DIR", help="Folder for the run's journal, on a local disk.")
@click.option("--host", help="This host's name, if not the system's.", hidden=True)
@shared
def main(**given: object) -> int:
    """Walk directory trees in parallel and print what is there, exactly."""
    arguments = click.get_current_context().params
    set_up_logging(int(arguments["verbose"]))
    wish = Wish(bool(given["quiet"]), bool(given["json_"]), float(arguments["timeout"]))
    modes = [name for name in ("resume", "attach") if arguments[name] is not None]
    if len(modes) > 1 or (modes and (arguments["paths"] or arguments["roots_from"])):
        raise WrongUseError(reason="give either paths, or --resume RUN, or --attach RUN")
    if arguments["broker"]:
        return _on_bus(arguments, wish)
    if arguments["detach"] or arguments["attach"] is not None:
        raise WrongUseError(reason="--detach and --attach need a bus: name it with --broker")
    if arguments["min_agents"] != 1:
        raise WrongUseError(reason="--min-agents needs a bus: name it with --broker")
    return _private(arguments, wish)


# ------------------------------------------------------------------ private


def _private(arguments: dict[str, object], wish: Wish) -> int:
    host = host_name(_text(arguments["host"]))
    base = state_base(_text(arguments["state"]))
    resume = arguments["resume"]
    workers, dir_timeout = int(str(arguments["workers"])), float(str(arguments["dir_timeout"]))
    roots: list[RootRecord] = []
    catalog = None
    if isinstance(resume, int):
        number, state = resume, state_of(base, resume)
        if not (state / "journal.db").exists():
            raise WrongUseError(reason=f"no interrupted run {resume} below {base / 'runs'}")
    else:
        roots = find_roots(arguments, host)
        options_of(arguments)
        catalog = prepare_catalog(arguments["output"])
        number, state = new_state(base, int(time.time()))
    way_back = f"Go on with: zfs-walk --resume {number}"
    if arguments["state"]:
        way_back += f" --state {arguments['state']}"
    keep = isinstance(resume, int)
    try:
        with private_bus(state, number, workers, host, dir_timeout) as bus:
            interrupts = Interrupts()
            if isinstance(resume, int):
                bus.client.ask(lambda name, deadline: Continue(name, deadline, number))
            else:
                _submit(bus.client, roots, options_of(arguments, catalog), 1)
                keep = True
            if catalog is not None:
                catalog.commit()
            follow = Follow(bus.client, number, interrupts, wish, way_back, private=True)
            status = follow.to_the_end()
            finish_catalog(bus.client, status, as_json(status))
    except BaseException:
        if not keep:
            remove_state(state)
            if catalog is not None:
                catalog.undo()
        raise
    remove_state(state)
    return _print(status, wish)


# ------------------------------------------------------------------ on a bus


def _on_bus(arguments: dict[str, object], wish: Wish) -> int:
    host = host_name(_text(arguments["host"]))
    broker = str(arguments["broker"])
    number = arguments["resume"] if arguments["resume"] is not None else arguments["attach"]
    bus = Bus()
    client = Client(bus, broker, host, __version__, wish.timeout)
    catalog = None
    try:
        if isinstance(number, int):
            if arguments["resume"] is not None:
                run = number
                client.ask(lambda name, deadline: Continue(name, deadline, run))
        else:
            roots = find_roots(arguments, host)
            options_of(arguments)
            catalog = prepare_catalog(arguments["output"])
            try:
                number = _submit(
                    client, roots, options_of(arguments, catalog), int(str(arguments["min_agents"]))
                )
            except ZfsWalkError:
                if catalog is not None:
                    catalog.undo()
                raise
        if arguments["detach"]:
            click.echo(json.dumps({"schema": 1, "run": number}) if wish.as_json else number)
            return 0
        way_back = f"Go on with: zfs-walk --broker {broker} --resume {number}"
        follow = Follow(client, number, Interrupts(), wish, way_back, private=False)
        status = follow.to_the_end()
        finish_catalog(client, status, as_json(status))
    finally:
        client.close()
        bus.close()
    return _print(status, wish)


# ------------------------------------------------------------------ both


def options_of(arguments: dict[str, object], catalog: object = None) -> WalkOptions:
    """The run's options; patterns are checked here, where their author still listens."""
    excludes = tuple(str(glob) for glob in _many(arguments["exclude"]))
    includes = tuple(str(glob) for glob in _many(arguments["include"]))
    try:
        Filter(excludes, includes)
    except ValueError as error:
        raise WrongUseError(reason=str(error)) from error
    depth = arguments["max_depth"]
    folder = getattr(catalog, "folder", None)
    return WalkOptions(
        names_only=bool(arguments["names_only"]),
        one_file_system=bool(arguments["one_file_system"]),
        max_depth=depth if isinstance(depth, int) else -1,
        part_limit=int(str(arguments["part_limit"])),
        excludes=excludes,
        includes=includes,
        default_excludes=not arguments["no_default_excludes"],
        catalog=b"" if folder is None else os.fsencode(folder),
        token=getattr(catalog, "token", ""),
    )


def _text(value: object) -> str | None:
    return str(value) if value else None


def _many(value: object) -> tuple[object, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def _submit(client: Client, roots: list[RootRecord], options: WalkOptions, agents: int) -> int:
    reply: Submitted = client.ask(
        lambda name, deadline: Submit(name, deadline, tuple(roots), options, agents)
    )
    return reply.run


@dataclass(slots=True)
class Follow:
    """Follows a run to its end, or to a pause."""

    client: Client
    run: int
    interrupts: Interrupts
    wish: Wish
    way_back: str
    private: bool

    def to_the_end(self) -> RunStatus:
        """Show progress until the run is over.

        Raises:
            RunPausedError: it was paused, by Ctrl-C or by someone else.
            RunStalledError: no agent can go on with it, or none came in time.
            RunAbortedError: it was aborted.
        """
        with Progress(quiet=self.wish.quiet) as progress:
            alone_since: float | None = None
            asked = False
            while True:
                status = self._look()
                progress.show(status)
                if status.state in {"DONE", "DONE_WITH_ERRORS"}:
                    return status
                if status.state == "ABORTED":
                    raise RunAbortedError(run=self.run, reason=status.reason)
                if status.state == "PAUSED":
                    self._paused(status)
                if self.interrupts.asked and not asked:
                    asked = True
                    self._pause()
                alone_since = self._mind(status, alone_since)

    def _look(self) -> RunStatus:
        status: RunStatus = self.client.ask(
            lambda name, deadline: Status(name, deadline, self.run, LOOK_MS)
        )
        return status

    def _pause(self) -> None:
        def request(name: str, deadline: int) -> Pause:
            return Pause(name, deadline, self.run)

        ask: Callable[[Callable[[str, int], Pause]], Done] = self.client.ask
        ask(request)

    def _paused(self, status: RunStatus) -> None:
        if status.reason.startswith("no agent can go on"):
            raise RunStalledError(run=self.run, reason=status.reason, resume=self.way_back)
        raise RunPausedError(run=self.run, resume=self.way_back)

    def _mind(self, status: RunStatus, alone_since: float | None) -> float | None:
        """On a bus without any agent that could walk it, a run does not wait for ever."""
        if self.private or not status.waiting or status.state != "RUNNING":
            return None
        now = time.monotonic()
        if alone_since is None:
            return now
        if now - alone_since > self.wish.timeout:
            self._pause()
            raise RunStalledError(run=self.run, reason=status.waiting, resume=self.way_back)
        return alone_since


def _print(status: RunStatus, wish: Wish) -> int:
    if wish.as_json:
        click.echo(json.dumps(as_json(status), indent=2))
    else:
        click.echo(as_text(status))
    troubled = status.counters.get("errors", 0) or status.state == "DONE_WITH_ERRORS"
    return 1 if troubled else 0


def run() -> None:
    """Console entry point."""
    run_command(main, "zfs-walk")


