"""``zfs-ctl status``: what is on a bus now."""
# ruff: noqa: PLC0415 -- whoever asks for --help does not wait for ZeroMQ

import json
from typing import TYPE_CHECKING

import click

from zfs_walk.cli.asking import EXIT_CODES, ask, at_a_bus
from zfs_walk.cli.command import ENVIRONMENT, set_up_logging

if TYPE_CHECKING:
    from zfs_walk.protocol.messages import SnapshotReply


@click.command(epilog="Example: zfs-ctl status" + EXIT_CODES, context_settings=ENVIRONMENT)
@at_a_bus
def status(broker: str, timeout: float, verbose: int, *, json_: bool) -> None:
    """Show the broker, its agents with their workers, and its runs."""
    from zfs_walk.cli.overview import Overview
    from zfs_walk.protocol.messages import Snapshot

    set_up_logging(verbose)
    reply: SnapshotReply = ask(broker, timeout, Snapshot)
    overview = Overview.of(reply)
    if json_:
        click.echo(json.dumps(overview.as_json(), indent=2))
        return
    from zfs_walk.cli.screen import print_out, show

    print_out(show(overview))
