"""What the verbs of ``zfs-ctl`` share: their options, and asking the broker."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from zfs_walk import __version__
from zfs_walk.cli.command import PREFIX, SECONDS, broker_option, host_name, shared

if TYPE_CHECKING:
    from zfs_walk.bus.client import Client
    from zfs_walk.protocol.messages import Message

EXIT_CODES: Final = """

Exit codes: 0 all well, 2 wrong use or refused, 4 no broker, 5 another protocol version,
14 no usable key."""


@contextmanager
def client_at(
    broker: str, timeout: float, check: Callable[[], None] = lambda: None
) -> "Iterator[Client]":
    """A client of the broker; ``check`` is called while it waits, and raises to give up."""
    # Whoever asks for --help does not wait for ZeroMQ.
    from zfs_walk.bus.client import Client  # noqa: PLC0415
    from zfs_walk.bus.sockets import Bus  # noqa: PLC0415
    from zfs_walk.cli.connection import find_target  # noqa: PLC0415

    target = find_target(broker)
    bus = Bus(target.curve)
    client = Client(bus, target.endpoints, host_name(None), __version__, timeout, check)
    try:
        yield client
    finally:
        client.close()
        bus.close()


def ask(broker: str, timeout: float, request: Callable[[str, int], "Message"]) -> Any:
    """Ask the broker once."""
    with client_at(broker, timeout) as client:
        return client.ask(request)


def of_a_bus(function: Any) -> Any:
    """Add the options of every verb."""
    for option in (
        click.option("--timeout", type=SECONDS, default=10.0, show_default=True,
                     help="Seconds to wait for the broker's answer."),
        broker_option,
        shared,
    ):  # fmt: skip
        function = option(function)
    return function


def at_a_bus(function: Any) -> Any:
    """Add the options of every verb that prints a result."""
    return of_a_bus(
        click.option(
            "--json", "json_", is_flag=True, envvar=f"{PREFIX}_JSON", help="JSON instead of text."
        )(function)
    )
