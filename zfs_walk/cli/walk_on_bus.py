"""A walk on a bus: submitted, followed, detached from, attached to, resumed."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import click

from zfs_walk import __version__
from zfs_walk.bus.client import Client
from zfs_walk.bus.sockets import Bus
from zfs_walk.cli.arguments import WalkArguments
from zfs_walk.cli.command import host_name
from zfs_walk.cli.connection import find_target
from zfs_walk.cli.follow import Follow, go_on, print_result, submit
from zfs_walk.cli.interrupts import Interrupts
from zfs_walk.cli.keep import finish_catalog, prepare_catalog
from zfs_walk.cli.roots import find_roots
from zfs_walk.cli.sending import check_sending
from zfs_walk.cli.summary import as_json


def walk_on_bus(broker: str, arguments: WalkArguments) -> int:
    """Walk on the bus of ``broker``; returns the exit code."""
    host = host_name(arguments.host)
    with _client(broker, host, arguments.timeout) as client:
        number = _run(client, host, arguments)
        if arguments.detach:
            click.echo(json.dumps({"schema": 1, "run": number}) if arguments.json else number)
            return 0
        follow = Follow(
            client,
            number,
            Interrupts(),
            arguments.quiet,
            f"Go on with: zfs-walk --broker {broker} --resume {number}",
            arguments.timeout,
        )
        status = follow.to_the_end()
        finish_catalog(client, status, as_json(status))
    return print_result(status, arguments)


@contextmanager
def _client(broker: str, host: str, timeout: float) -> Iterator[Client]:
    with ExitStack() as stack:
        target = find_target(broker)
        bus = Bus(target.curve)
        stack.callback(bus.close)
        client = Client(bus, target.endpoints, host, __version__, timeout)
        stack.callback(client.close)
        yield client


def _run(client: Client, host: str, arguments: WalkArguments) -> int:
    """The number of the run, which is submitted or continued if need be."""
    if arguments.resume is not None:
        go_on(client, arguments.resume)
    if arguments.earlier is not None:
        return arguments.earlier
    roots = find_roots(arguments.paths, arguments.roots_from, host, null=arguments.null)
    check_sending(roots, arguments.options())
    catalog = prepare_catalog(arguments.output)
    try:
        return submit(client, roots, arguments.options(catalog), arguments.min_agents)
    except BaseException:
        if catalog is not None:
            catalog.undo()
        raise
