"""``zfs-ctl tail``: shows the log stream of a bus."""
# ruff: noqa: PLC0415 -- whoever asks for --help does not wait for ZeroMQ

import re
import select
import signal
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import click

from zfs_walk import __version__
from zfs_walk.cli.asking import EXIT_CODES
from zfs_walk.cli.command import (
    ENVIRONMENT,
    RUN,
    SECONDS,
    broker_option,
    host_name,
    set_up_logging,
    shared,
)

if TYPE_CHECKING:
    from zfs_walk.bus.gaps import Gap
    from zfs_walk.protocol.messages import LogRecord

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
"""As in `zfs_walk.protocol.stream`, which --help need not wait for."""

COLOURS: Final = {"debug": "bright_black", "warning": "yellow", "error": "red", "critical": "red"}

UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}

PERIOD: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([smhd]?)")


class Period(click.ParamType[float]):
    """A time: ``90``, ``10m``, ``1.5h``, ``2d``; as seconds."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Take a number and a unit."""
        if isinstance(value, float):
            return value
        found = PERIOD.fullmatch(str(value).strip())
        if found is None:
            self.fail(f"{value!r} is no time; they look like 90, 10m, 1.5h or 2d", param, ctx)
        return float(found[1]) * UNITS[found[2]]


@click.command(
    epilog="""Examples:

\b
  zfs-ctl tail
  zfs-ctl tail --level warning --since 1h
  zfs-ctl log tail --role walker --run 3 --json

Ctrl-C ends it."""
    + EXIT_CODES
    + " 130 ended by Ctrl-C.",
    context_settings=ENVIRONMENT,
)
@shared
@broker_option
@click.option("--timeout", type=SECONDS, default=10.0, show_default=True,
              help="Seconds to wait for the broker's answer.")  # fmt: skip
@click.option(
    "--level",
    type=click.Choice(LEVELS),
    default="debug",
    show_default=True,
    help="Records of this level and above; what is logged at all, `log level` says.",
)
@click.option("--role", default="", help="Records of agents in this role, or of the broker.")
@click.option("--host", default="", help="Records of this host.")
@click.option("--run", type=RUN, help="Records that belong to this run.")
@click.option("--grep", metavar="TEXT", default="", help="Records with this in their text.")
@click.option(
    "--since", type=Period(), metavar="TIME", help="Read back so far: 90 (seconds), 10m, 2h, 1d."
)
@click.option("--json", "json_", is_flag=True, help="A line of JSON a record.")
def tail(  # noqa: PLR0913, PLR0917 -- one argument an option
    broker: str,
    timeout: float,
    level: str,
    role: str,
    host: str,
    run: int | None,
    grep: str,
    since: float | None,
    verbose: int,
    *,
    json_: bool,
) -> None:
    """Show what all processes of a bus log, as it happens.

    A gap is shown where records did not arrive; the files that `log path` names have them.
    """
    from zfs_walk.bus.client import Client
    from zfs_walk.bus.follower import Follower, Wanted
    from zfs_walk.bus.sockets import Bus
    from zfs_walk.cli.connection import find_target
    from zfs_walk.protocol.messages import LogRecord

    set_up_logging(verbose)
    target = find_target(broker)
    bus = Bus(target.curve)
    end = Ending()
    client = Client(bus, target.endpoints, host_name(None), __version__, timeout, end.check)
    follower = Follower(bus, client, Wanted(level, role, host), _say, end.check)
    write, show = sys.stdout.write, _shower(json_=json_)
    try:
        since_ns = None if since is None else max(0, time.time_ns() - round(since * 1e9))
        for said in follower.follow(since_ns):
            if isinstance(said, LogRecord) and (
                (run is not None and said.run != run)
                or (grep and grep not in said.text and grep not in said.exception)
            ):
                continue
            write(show(said) + "\n")
            end.check_signal()
    finally:
        client.close()
        bus.close()


class Ending:
    """What ends a tail, looked at between two records: sockets are never left half made."""

    def __init__(self) -> None:
        """Note SIGINT; a second one interrupts whatever is going on."""
        self._asked = False
        self._reader = select.poll()
        self._reader.register(sys.stdout.fileno(), 0)
        signal.signal(signal.SIGINT, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True

    def check_signal(self) -> None:
        """Leave if Ctrl-C says so."""
        if self._asked:
            raise KeyboardInterrupt

    def check(self) -> None:
        """There is nothing to show at the moment: show all that is written, or leave."""
        sys.stdout.flush()
        self.check_signal()
        if self._reader.poll(0):
            raise BrokenPipeError  # as with `| head`: nobody reads any more


def _say(text: str) -> None:
    sys.stdout.flush()
    click.echo(f"zfs-ctl: {text}", err=True)


def _shower(*, json_: bool) -> Any:
    """What makes a line of a record or a gap."""
    from zfs_walk.bus.gaps import Gap
    from zfs_walk.bus.logjson import gap_line, record_line

    coloured = sys.stdout.isatty()

    def show(said: "LogRecord | Gap") -> str:
        if json_:
            return gap_line(said) if isinstance(said, Gap) else record_line(said)
        if isinstance(said, Gap):
            text = gap_text(said)
            return click.style(text, fg="magenta", bold=True) if coloured else text
        text = record_text(said)
        colour = COLOURS.get(said.level)
        return click.style(text, fg=colour) if coloured and colour else text

    return show


def gap_text(gap: "Gap") -> str:
    """Say how many records are missing, and whose."""
    records = "record" if gap.lost == 1 else "records"
    origin = gap.origin
    return f"--- {gap.lost:,} {records} of {origin.name} on {origin.host} lost here ({gap.level})"


def record_text(record: "LogRecord") -> str:
    """A record for people: one line, and the lines of its exception below it."""
    from zfs_walk.bus.logjson import time_text

    origin = record.origin
    who = f"{origin.host} {origin.name}" + (f" {record.process}" if record.process else "")
    run = f" run {record.run}" if record.run else ""
    fields = "".join(f" {name}={value}" for name, value in record.fields)
    line = (
        f"{time_text(record.time_ns)} {record.level.upper():<8} {who}{run}"
        f" {record.logger}: {record.text}{fields}"
    )
    text = _printable(line)
    for below in record.exception.splitlines():
        text += "\n    " + _printable(below)
    return text


def _printable(line: str) -> str:
    """Without what would move a terminal's cursor or colour it: paths are in here."""
    if line.isprintable():
        return line
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in line
    )
