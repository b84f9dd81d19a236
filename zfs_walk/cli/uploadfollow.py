"""``zfs-ctl upload follow``: what becomes of uploads, as it happens, on any host of a bus."""
# ruff: noqa: PLC0415 -- whoever asks for --help does not wait for ZeroMQ

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from zfs_walk import __version__
from zfs_walk.cli.asking import EXIT_CODES, at_a_bus
from zfs_walk.cli.command import ENVIRONMENT, host_name, set_up_logging
from zfs_walk.cli.tail import Ending

if TYPE_CHECKING:
    from zfs_walk.bus.gaps import Gap
    from zfs_walk.protocol.messages import ActionNews, TransferLine, UploaderActions
    from zfs_walk.protocol.statistics import Origin

NS: Final = 1_000_000_000

PROGRESS_EVERY: Final = 2 * NS
"""Nanoseconds between two lines of text about a file that is being sent; JSON has all of them."""

COLOURS: Final = {"failed": "yellow", "held": "yellow", "aside": "red", "dropped": "bright_black"}


@click.command(
    "follow",
    epilog="""Examples:

\b
  zfs-ctl upload follow
  zfs-ctl upload follow photos --host host17 --json

Ctrl-C ends it."""
    + EXIT_CODES
    + " 130 ended by Ctrl-C.",
    context_settings=ENVIRONMENT,
)
@click.argument("mapping", default="")
@click.option("--host", default="", help="Of uploaders on this host only.")
@click.option("--agent", default="", metavar="NAME", help="Of this uploader only.")
@at_a_bus
def upload_follow(  # noqa: PLR0913, PLR0917 -- one argument an option
    mapping: str, host: str, agent: str, broker: str, timeout: float, verbose: int, *, json_: bool
) -> None:
    """Show what becomes of uploads, as it happens; of MAPPING only.

    Queued, sending with bytes and parts, done, or failed with the reason: from now on; what there
    is already, `zfs-ctl upload list` shows. A gap is shown where something did not arrive.
    """
    from zfs_walk.bus.actions_follower import ActionsFollower
    from zfs_walk.bus.client import Client
    from zfs_walk.bus.sockets import Bus
    from zfs_walk.cli.connection import find_target

    set_up_logging(verbose)
    target = find_target(broker)
    bus = Bus(target.curve)
    end = Ending()
    client = Client(bus, target.endpoints, host_name(None), __version__, timeout, end.check)
    follower = ActionsFollower(bus, client, host, agent, _say, end.check)
    lines = _json_lines if json_ else _Text(coloured=sys.stdout.isatty()).lines
    try:
        for told in follower.follow():
            for line in lines(told, mapping):
                sys.stdout.write(line + "\n")
                end.check_signal()
    finally:
        client.close()
        bus.close()


def _say(text: str) -> None:
    sys.stdout.flush()
    click.echo(f"zfs-ctl: {text}", err=True)


# ---------------------------------------------------------------------- text


class _Text:
    """Makes lines for people.

    Args:
        coloured: for a terminal.
    """

    def __init__(self, *, coloured: bool) -> None:
        self._coloured = coloured
        # Files that are being sent: when that was shown last.
        self._shown: dict[tuple[str, str, bytes], int] = {}

    def lines(self, told: "UploaderActions | Gap", mapping: str) -> Iterator[str]:
        """What a message, or a gap, is to people."""
        from zfs_walk.bus.gaps import Gap

        if isinstance(told, Gap):
            yield self._colour(_gap_text(told), "magenta")
            return
        for action in told.actions:
            if mapping in {"", action.mapping}:
                yield self._colour(_action_text(told.origin, action), COLOURS.get(action.stage, ""))
        yield from self._transfers(told, mapping)

    def _transfers(self, told: "UploaderActions", mapping: str) -> Iterator[str]:
        publisher = told.origin.publisher
        before = self._shown
        # Only those that are still being sent, and those of others.
        self._shown = {key: at for key, at in before.items() if key[0] != publisher}
        for one in told.transfers:
            key = publisher, one.mapping, one.path
            at = before.get(key, one.since_ns)
            if told.time_ns - at >= PROGRESS_EVERY:
                at = told.time_ns
                if mapping in {"", one.mapping}:
                    yield _transfer_text(told, one)
            self._shown[key] = at

    def _colour(self, text: str, colour: str) -> str:
        return click.style(text, fg=colour) if self._coloured and colour else text


def _head(time_ns: int, origin: "Origin", mapping: str, word: str) -> str:
    from zfs_walk.bus.logjson import time_text
    from zfs_walk.cli.summary import show_text

    who = f"{show_text(origin.host)} {show_text(origin.name)} {show_text(mapping)}"
    return f"{time_text(time_ns)} {word:<9} {who}"


def _action_text(origin: "Origin", action: "ActionNews") -> str:
    from zfs_walk.cli.summary import human, show_path, show_text

    head = _head(action.time_ns, origin, action.mapping, action.stage)
    kind = "" if action.kind == "send" else f" ({action.kind})"
    tries = f" after {action.tries} tries" if action.tries else ""
    why = f": {show_text(action.detail)}" if action.detail else ""
    return f"{head} {show_path(action.path)}{kind} {human(action.size)}{tries}{why}"


def _transfer_text(told: "UploaderActions", one: "TransferLine") -> str:
    from zfs_walk.cli.summary import human, show_path
    from zfs_walk.cli.uploads import parts_text

    head = _head(told.time_ns, told.origin, one.mapping, "sending")
    parts = f", {parts_text(one)}" if one.parts else ""
    return f"{head} {show_path(one.path)} {human(one.sent)} of {human(one.size)}{parts}"


def _gap_text(gap: "Gap") -> str:
    messages = "message" if gap.lost == 1 else "messages"
    return f"--- {gap.lost:,} {messages} of {gap.origin.name} on {gap.origin.host} missed here"


# ---------------------------------------------------------------------- JSON


def _json_lines(told: "UploaderActions | Gap", mapping: str) -> Iterator[str]:
    """A line an action that has changed, and one a file that is being sent (docs/json.md)."""
    from zfs_walk.bus.gaps import Gap
    from zfs_walk.bus.logjson import gap_line
    from zfs_walk.cli.uploads import news_fields, transfer_fields

    if isinstance(told, Gap):
        yield gap_line(told)
        return
    head = {
        "host": told.origin.host,
        "name": told.origin.name,
        "publisher": told.origin.publisher,
        "seq": told.seq,
    }
    for action in told.actions:
        if mapping in {"", action.mapping}:
            yield _line("action", head | news_fields(action))
    for one in told.transfers:
        if mapping in {"", one.mapping}:
            yield _line("transfer", head | {"time": told.time_ns / NS} | transfer_fields(one))


def _line(kind: str, fields: dict[str, Any]) -> str:
    return json.dumps({"schema": 1, "kind": kind, **fields})
