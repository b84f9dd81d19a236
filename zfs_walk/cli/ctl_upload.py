"""``zfs-ctl upload``: what uploaders have in hand, and what is to be done about it."""
# ruff: noqa: PLC0415 -- whoever asks for --help does not wait for ZeroMQ

import contextlib
import json
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click

from zfs_walk.cli.asking import EXIT_CODES, at_a_bus
from zfs_walk.cli.command import ENVIRONMENT, SECONDS, set_up_logging
from zfs_walk.cli.keys import Keys, QuitAsked
from zfs_walk.cli.uploadfollow import upload_follow
from zfs_walk.config.rates import RATE_FORM, parse_rate
from zfs_walk.errors import WrongUseError

if TYPE_CHECKING:
    from zfs_walk.cli.uploaders import Sought, Uploader
    from zfs_walk.protocol.messages import Done, Steer

STATES: Final = ("ready", "taken", "held", "aside")

SHOWN: Final = 20
"""Actions of a state that are shown if nobody says how many."""


@click.group("upload")
def upload_group() -> None:
    """Uploads: list, follow, pause, continue, retry, forget, confirm, rescan, limit, reset..."""


def _of_uploaders(function: Any) -> Any:
    """Add the options that say which uploaders are meant."""
    for option in (
        click.option("--state", metavar="DIR",
                     help="Ask the uploader on this host with this state folder, not a broker."),
        click.option("--host", default="", help="Of the uploader, where names are not unique."),
        click.option("--agent", default="", metavar="NAME", help="Of the uploader."),
    ):  # fmt: skip
        function = option(function)
    return at_a_bus(function)


def _sought(options: dict[str, Any]) -> "Sought":
    from zfs_walk.cli.uploaders import Sought

    set_up_logging(options["verbose"])
    return Sought(
        options["broker"], options["state"], options["agent"], options["host"], options["timeout"]
    )


def _example(words: str) -> str:
    return f"Example: zfs-ctl upload {words}" + EXIT_CODES


# ---------------------------------------------------------------------- list


@upload_group.command(
    "list", epilog=_example("list --follow. Keys: q or Ctrl-C leaves."),
    context_settings=ENVIRONMENT,
)  # fmt: skip
@click.argument("mapping", default="")
@click.option("--which", type=click.Choice(STATES), help="Show actions in this state only.")
@click.option(
    "--most", type=click.IntRange(0), default=SHOWN, show_default=True,
    help="Actions of each state that are shown.",
)  # fmt: skip
@click.option("--all", "all_", is_flag=True, help="Show every action.")
@click.option("--follow", is_flag=True, help="Look again and again.")
@click.option(
    "--interval", type=SECONDS, default=1.0, show_default=True,
    help="Seconds between two looks of --follow.",
)  # fmt: skip
@_of_uploaders
def upload_list(  # noqa: PLR0913 -- one argument an option
    mapping: str, which: str | None, most: int, interval: float, *, all_: bool, follow: bool,
    json_: bool, **options: Any,
) -> None:  # fmt: skip
    """Show what uploaders have in hand: mappings, transfers and queues; of MAPPING only."""
    from zfs_walk.cli.uploaders import reach

    sought = _sought(options)
    asked = mapping, which or "", None if all_ else most
    if follow and not json_ and sys.stdin.isatty() and sys.stdout.isatty():
        _watch(sought, asked, interval)
        return
    with reach(sought) as found:
        while True:
            _print(found, asked, json_=json_)
            if not follow:
                return
            _sleep(interval)


def _print(found: list[Any], asked: tuple[str, str, int | None], *, json_: bool) -> None:
    from zfs_walk.cli.screen import print_out
    from zfs_walk.cli.uploads import as_json, look, show

    looks = [look(each, *asked) for each in _having(found, asked[0])]
    if json_:
        click.echo(json.dumps(as_json(looks)))
    else:
        print_out(show(looks))


def _having(found: list[Any], mapping: str) -> list[Any]:
    """Those that have a mapping; all of them if none is named."""
    having = [each for each in found if not mapping or each.has(mapping)]
    if not having:
        raise WrongUseError(reason=f"no uploader has a mapping {mapping}")
    return having


def _sleep(seconds: float) -> None:
    import time

    sys.stdout.flush()
    time.sleep(seconds)


def _watch(sought: "Sought", asked: tuple[str, str, int | None], interval: float) -> None:
    """Full-screen, until a key is pressed."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from zfs_walk.cli.uploaders import reach
    from zfs_walk.cli.uploads import look, show
    from zfs_walk.errors import NoBrokerError

    console = Console(highlight=False)
    with contextlib.suppress(QuitAsked), Keys() as keys, reach(sought, keys.look) as found:
        having = _having(found, asked[0])
        shown = show([look(each, *asked) for each in having])
        with Live(shown, console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(shown, refresh=True)
                keys.wait(interval)
                try:
                    shown = show([look(each, *asked) for each in having])
                except NoBrokerError as error:
                    shown = Text(f"{error}\n\nTrying again; q leaves.", "bold red")


upload_group.add_command(upload_follow)


# ---------------------------------------------------------------------- orders


def _steer(  # noqa: PLR0913 -- an order's parts
    sought: "Sought",
    verb: str,
    mapping: str,
    *,
    paths: tuple[str, ...] = (),
    rate: int = 0,
    json_: bool,
) -> None:
    from zfs_walk.cli.uploaders import one_of, reach
    from zfs_walk.protocol.uploads import MOST_PATHS

    raw = [os.fsencode(path) for path in paths]
    with reach(sought) as found:
        meant = one_of(found, mapping)
        # A thousand names a message; without names there is one message nevertheless.
        for start in range(0, max(1, len(raw)), MOST_PATHS):
            some = tuple(raw[start : start + MOST_PATHS])
            order = partial(_order, meant, verb, mapping, some, rate)
            reply: Done = meant.client.ask(order)
            _say(meant.name, reply.detail, json_=json_)


def _order(  # noqa: PLR0913, PLR0917 -- an order's parts
    meant: "Uploader",
    verb: str,
    mapping: str,
    paths: tuple[bytes, ...],
    rate: int,
    request: str,
    deadline_ms: int,
) -> "Steer":
    from zfs_walk.protocol.messages import Steer

    return Steer(request, deadline_ms, meant.host, meant.name, verb, mapping, paths, rate)


def _say(name: str, detail: str, *, json_: bool) -> None:
    if json_:
        click.echo(json.dumps({"schema": 1, "agent": name, "detail": detail}))
    else:
        click.echo(f"{name}: {detail}")


def _verb(name: str, text: str) -> None:
    """Add a verb that takes a mapping, or none for all of an uploader's."""

    @upload_group.command(
        name, help=text, epilog=_example(f"{name} photos"), context_settings=ENVIRONMENT
    )
    @click.argument("mapping", default="")
    @_of_uploaders
    def verb(mapping: str, *, json_: bool, **options: Any) -> None:
        _steer(_sought(options), name, mapping, json_=json_)


_verb("pause", "Send nothing more, until `continue`, also after a restart; changes are queued.")
_verb("continue", "Go on after `pause`.")
_verb("confirm", "Let the deletions go that are held.")
_verb("rescan", "Compare both sides now.")


@upload_group.command(
    "retry", epilog=_example("retry photos 2026/one.jpg"), context_settings=ENVIRONMENT
)
@click.argument("mapping", default="")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@_of_uploaders
def upload_retry(mapping: str, paths: tuple[str, ...], *, json_: bool, **options: Any) -> None:
    """Try once more what was set aside: all of it, or these files of MAPPING."""
    _steer(_sought(options), "retry", mapping, paths=paths, json_=json_)


@upload_group.command(
    "forget", epilog=_example("forget photos 2026/one.jpg"), context_settings=ENVIRONMENT
)
@click.argument("mapping")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@_of_uploaders
def upload_forget(mapping: str, paths: tuple[str, ...], *, json_: bool, **options: Any) -> None:
    """Take actions out of the queue undone; the next comparison finds what is still to be done."""
    _steer(_sought(options), "forget", mapping, paths=paths, json_=json_)


@upload_group.command("limit", epilog=_example("limit 10M photos"), context_settings=ENVIRONMENT)
@click.argument("rate")
@click.argument("mapping", default="")
@_of_uploaders
def upload_limit(rate: str, mapping: str, *, json_: bool, **options: Any) -> None:
    """Send RATE bytes a second from now on, until the next start; 0: as many as it can."""
    try:
        number = parse_rate(rate)
    except ValueError as error:
        raise WrongUseError(reason=f"RATE is {rate!r}; it is {RATE_FORM}") from error
    _steer(_sought(options), "limit", mapping, rate=number, json_=json_)


@upload_group.command("reset", epilog=_example("reset photos"), context_settings=ENVIRONMENT)
@click.argument("mapping", default="")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_of_uploaders
def upload_reset(mapping: str, *, yes: bool, json_: bool, **options: Any) -> None:
    """Forget the queue, and compare both sides to find what is to be done."""
    sought = _sought(options)
    if not yes:
        _ask(f"Forget the queue of {mapping or 'all mappings'}, and compare both sides?")
    _steer(sought, "reset", mapping, json_=json_)


@upload_group.command("stop", epilog=_example("stop"), context_settings=ENVIRONMENT)
@_of_uploaders
def upload_stop(*, json_: bool, **options: Any) -> None:
    """Let an uploader end; the next start goes on where it stood."""
    from zfs_walk.cli.uploaders import one_of, reach
    from zfs_walk.protocol.messages import Drain

    with reach(_sought(options)) as found:
        meant = one_of(found, "")
        reply: Done = meant.client.ask(
            lambda name, until: Drain(name, until, meant.host, meant.name)
        )
        _say(meant.name, reply.detail, json_=json_)


def _ask(question: str) -> None:
    """Ask whoever is there.

    Raises:
        WrongUseError: nobody is there, or the answer is no.
    """
    if not sys.stdin.isatty():
        raise WrongUseError(reason=f"{question} Nobody is there to be asked; say --yes")
    if not click.confirm(question, err=True):
        raise WrongUseError(reason="nothing was done")
