"""A walk without a bus: a private one is started for it, and its state goes with its end."""

import time
from contextlib import ExitStack
from pathlib import Path

import click

from zfs_walk.cli.arguments import WalkArguments
from zfs_walk.cli.command import host_name
from zfs_walk.cli.follow import Follow, go_on, print_result, submit
from zfs_walk.cli.interrupts import Interrupts
from zfs_walk.cli.keep import finish_catalog, prepare_catalog
from zfs_walk.cli.private import PrivateBus, private_bus
from zfs_walk.cli.private_state import interrupted_runs, new_state, remove_state, state_of
from zfs_walk.cli.roots import find_roots
from zfs_walk.cli.sending import check_sending, sweep_after
from zfs_walk.cli.state import state_base
from zfs_walk.cli.summary import as_json
from zfs_walk.errors import CatalogError, JournalError, ProcessDiedError, WrongUseError
from zfs_walk.protocol.messages import RunStatus


def walk_privately(arguments: WalkArguments) -> int:
    """Walk in this process and its workers; returns the exit code."""
    base = state_base(arguments.state)
    if arguments.resume is None:
        status = _begin(base, arguments)
    else:
        status = _resume(base, arguments.resume, arguments)
    return print_result(status, arguments)


def _begin(base: Path, arguments: WalkArguments) -> RunStatus:
    host = host_name(arguments.host)
    roots = find_roots(arguments.paths, arguments.roots_from, host, null=arguments.null)
    check_sending(roots, arguments.options())
    with ExitStack() as undo:
        catalog = prepare_catalog(arguments.output)
        if catalog is not None:
            undo.callback(catalog.undo)
        run, state = new_state(base, int(time.time()))
        undo.callback(remove_state, state)
        with private_bus(base, state, run, host, arguments) as bus:
            interrupts = Interrupts()
            submit(bus.client, roots, arguments.options(catalog), 1)
            # From now on the folders are the run's, and it can be gone on with.
            undo.pop_all()
            status = _follow(bus, run, interrupts, arguments)
    remove_state(state)
    sweep_after(base, status.options)
    return status


def _resume(base: Path, run: int, arguments: WalkArguments) -> RunStatus:
    state = state_of(base, run)
    if not (state / "journal.db").exists():
        there = ", ".join(map(str, interrupted_runs(base))) or "none"
        raise WrongUseError(
            reason=f"no interrupted run {run} below {base / 'runs'}; there are: {there}"
        )
    with private_bus(base, state, run, host_name(arguments.host), arguments) as bus:
        interrupts = Interrupts()
        go_on(bus.client, run)
        status = _follow(bus, run, interrupts, arguments)
    remove_state(state)
    sweep_after(base, status.options)
    return status


def _follow(
    bus: PrivateBus, run: int, interrupts: Interrupts, arguments: WalkArguments
) -> RunStatus:
    way_back = f"Go on with: zfs-walk --resume {run}"
    if arguments.state:
        way_back += f" --state {arguments.state}"
    follow = Follow(bus.client, run, interrupts, arguments.quiet, way_back, patience=None)
    try:
        status = follow.to_the_end()
        finish_catalog(bus.client, status, as_json(status))
    except (CatalogError, JournalError, ProcessDiedError):
        click.echo(f"zfs-walk: run {run} is kept. {way_back}", err=True)
        raise
    return status
