"""``zfs-ctl key``: who may connect to a bus, and as what (docs/security.md)."""
# ruff: noqa: PLC0415 -- whoever asks for --help does not wait for ZeroMQ

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from zfs_walk.cli.asking import EXIT_CODES, ask, at_a_bus
from zfs_walk.cli.command import DEFAULT_BROKER, ENVIRONMENT, set_up_logging, shared
from zfs_walk.errors import KeyFileError, WrongUseError

if TYPE_CHECKING:
    from zfs_walk.protocol.messages import KeyLines

ROLES: Final = ("walker", "scout", "uploader", "loadgen", "reader", "operator")
"""KEY_ROLES of `zfs_walk.protocol.messages`, which --help need not wait for."""

NAMES: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._-]{0,99}")

NANO = 10**9


@click.group("key")
def key_group() -> None:
    """Keys: init, add, list, revoke."""


@key_group.command(
    "init",
    epilog="""Example: zfs-ctl key init --state /var/lib/zfs_walk

The broker's first start does the same by itself.

Exit codes: 0 all well, 2 wrong use, 6 the state folder is in use or unusable, 14 a file of keys
can't be used.""",
    context_settings=ENVIRONMENT,
)
@click.option("--state", metavar="DIR", help="The broker's state folder.")
@click.option("--bind", metavar="ENDPOINT", default=DEFAULT_BROKER, show_default=True,
              help="Where the broker will listen.")  # fmt: skip
@click.option("--json", "json_", is_flag=True, help="JSON instead of text.")
@shared
def key_init(state: str | None, bind: str, verbose: int, *, json_: bool) -> None:
    """Make a broker's keys, and this user's connection file, before its first start."""
    from zfs_walk.cli.first_keys import give_operator, open_keyring
    from zfs_walk.cli.state import state_base
    from zfs_walk.storage import lock

    set_up_logging(verbose)
    if not bind.startswith("tcp://") or bind.endswith(":*"):
        raise WrongUseError(reason=f"--bind {bind}: tcp://HOST:PORT is wanted; ipc needs no keys")
    folder = state_base(state)
    lock(folder)
    curve, keys = open_keyring(folder)
    file = give_operator(keys, curve.public, bind, folder)
    if json_:
        click.echo(
            json.dumps(
                {"schema": 1, "state": str(folder), "server": curve.public, "file": str(file)}
            )
        )
    else:
        click.echo(f"keys are in {folder}, this user's connection file is {file}")


def _roles(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, ...]:
    roles = tuple(dict.fromkeys(filter(None, value.split(","))))
    unknown = [role for role in roles if role not in ROLES]
    if unknown or not roles:
        text = f"{', '.join(unknown) or 'nothing'}: wanted are some of {', '.join(ROLES)}"
        raise click.BadParameter(text)
    return roles


@key_group.command(
    "add",
    epilog="""Examples:

\b
  zfs-ctl key add walkers --role walker -o walkers.json
  zfs-ctl key add alice --role operator -o alice.json

The secret is made here and never travels: copy the file to where it is needed, for its user only
(mode 0600), and give it with --broker, or keep it as ~/.config/zfs_walk/connection.json or
/etc/zfs_walk/connection.json.

Exit codes: 0 all well, 2 wrong use or refused, 4 no broker, 5 another protocol version, 14 a file
of keys can't be used.""",
    context_settings=ENVIRONMENT,
)
@click.argument("name")
@click.option(
    "--role", "roles", required=True, metavar="ROLE[,ROLE...]", callback=_roles,
    help="walker, scout, uploader, loadgen (agents), reader (looks only), operator (may do all).",
)  # fmt: skip
@click.option("-o", "--output", metavar="FILE", help="The connection file; default: NAME.json.")
@at_a_bus
def key_add(  # noqa: PLR0913, PLR0917 -- one argument an option
    name: str,
    roles: tuple[str, ...],
    output: str | None,
    broker: str,
    timeout: float,
    verbose: int,
    *,
    json_: bool,
) -> None:
    """Make a key and its connection file, and let it in."""
    from zfs_walk.bus.curve import new_pair
    from zfs_walk.cli.connection import find_target
    from zfs_walk.config.connection import Connection
    from zfs_walk.protocol.messages import KeyAdd

    set_up_logging(verbose)
    if not NAMES.fullmatch(name):
        raise WrongUseError(
            reason=f"{name!r} can't be a key's name: letters, digits, '.', '_', '@' and '-' are"
            " wanted"
        )
    target = find_target(broker)
    if target.curve is None:
        raise WrongUseError(reason=f"the broker at {target.named} demands no keys")
    file = Path(output or f"{name}.json").absolute()
    if file.exists():
        raise KeyFileError(path=file, reason="it is there already and is not overwritten")
    public, secret = new_pair()
    # First the file: a key that nobody has would only be litter.
    first, *further = target.endpoints
    made = Connection(first, target.curve.server, public, secret, name, roles, tuple(further))
    made.write(file)
    try:
        ask(broker, timeout, lambda request, until: KeyAdd(request, until, name, public, roles))
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    if json_:
        click.echo(
            json.dumps(
                {"schema": 1, "name": name, "public": public, "roles": roles, "file": str(file)}
            )
        )
    else:
        click.echo(f"{name} may be {', '.join(roles)}; the connection file is {file}")


@key_group.command(
    "list", epilog="Example: zfs-ctl key list" + EXIT_CODES, context_settings=ENVIRONMENT
)
@at_a_bus
def key_list(broker: str, timeout: float, verbose: int, *, json_: bool) -> None:
    """List the keys, those that were revoked too."""
    from zfs_walk.protocol.messages import KeyList

    set_up_logging(verbose)
    reply: KeyLines = ask(broker, timeout, KeyList)
    if json_:
        rows = [
            {
                "name": key.name,
                "public": key.public,
                "roles": key.roles,
                "created_ns": key.created_ns,
                "revoked_ns": key.revoked_ns or None,
                "connected": key.sessions,
            }
            for key in reply.keys
        ]
        click.echo(json.dumps({"schema": 1, "keys": rows}, indent=2))
        return
    for key in reply.keys:
        state = f"revoked {_day(key.revoked_ns)}" if key.revoked_ns else f"{key.sessions} connected"
        click.echo(
            f"{key.name:<24} {','.join(key.roles):<24} added {_day(key.created_ns)}  {state}"
        )


@key_group.command(
    "revoke", epilog="Example: zfs-ctl key revoke walkers" + EXIT_CODES,
    context_settings=ENVIRONMENT,
)  # fmt: skip
@click.argument("name")
@at_a_bus
def key_revoke(name: str, broker: str, timeout: float, verbose: int, *, json_: bool) -> None:
    """Let a key in no more, and end what is connected with it."""
    from zfs_walk.protocol.messages import KeyRevoke

    set_up_logging(verbose)
    reply = ask(broker, timeout, lambda request, until: KeyRevoke(request, until, name))
    if json_:
        click.echo(json.dumps({"schema": 1, "name": name, "detail": reply.detail}))
    else:
        click.echo(reply.detail)


def _day(ns: int) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(ns // NANO))
