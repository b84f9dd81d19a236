"""``zfs-ctl run``: the runs of a bus."""
# ruff: noqa: PLC0415 -- whoever asks for --help does not wait for ZeroMQ

import json
from typing import TYPE_CHECKING

import click

from zfs_walk.cli.asking import EXIT_CODES, ask, at_a_bus
from zfs_walk.cli.command import ENVIRONMENT, RUN, set_up_logging
from zfs_walk.cli.durations import DURATION
from zfs_walk.errors import WrongUseError

if TYPE_CHECKING:
    from zfs_walk.protocol.messages import Done, RunList, RunStatus


@click.group("run")
def run_group() -> None:
    """Runs: list, show, pause, continue, abort, retry, verify, prune."""


@run_group.command(
    "list", epilog="Example: zfs-ctl run list" + EXIT_CODES, context_settings=ENVIRONMENT
)
@at_a_bus
def run_list(broker: str, timeout: float, verbose: int, *, json_: bool) -> None:
    """List the runs, the newest first."""
    from zfs_walk.cli.summary import human, show_path
    from zfs_walk.protocol.messages import Runs

    set_up_logging(verbose)
    reply: RunList = ask(broker, timeout, Runs)
    if json_:
        rows = [
            {
                "run": line.run,
                "state": line.state,
                "entries": line.entries,
                "items_left": line.items_left,
                "sent_files": line.sent_files,
                "sent_bytes": line.sent_bytes,
                "seconds": line.age_ms / 1000,
                "roots": [show_path(root) for root in line.roots],
            }
            for line in reply.runs
        ]
        click.echo(json.dumps({"schema": 1, "runs": rows}, indent=2))
        return
    for line in reply.runs:
        roots = " ".join(show_path(root) for root in line.roots)
        sent = f"  {line.sent_files:,} files, {human(line.sent_bytes)} sent"
        click.echo(
            f"{line.run:>6}  {line.state:<16} {line.entries:>14,} entries"
            f" {line.items_left:>8,} left {line.age_ms / 1000:>9.1f} s  {roots}"
            f"{sent if line.sent_files else ''}"
        )


@run_group.command(
    "show", epilog="Example: zfs-ctl run show 3" + EXIT_CODES, context_settings=ENVIRONMENT
)
@click.argument("run", type=RUN)
@at_a_bus
def run_show(run: int, broker: str, timeout: float, verbose: int, *, json_: bool) -> None:
    """Show a run's totals so far."""
    from zfs_walk.cli.summary import as_json, as_text
    from zfs_walk.protocol.messages import Status

    set_up_logging(verbose)
    status: RunStatus = ask(broker, timeout, lambda name, until: Status(name, until, run, 0))
    if json_:
        click.echo(json.dumps(as_json(status), indent=2))
        return
    click.echo(f"run {run}: {status.state} {status.reason or status.waiting}".rstrip())
    click.echo(as_text(status))
    click.echo(f"  {status.items_left:,} items left, {status.agents} agents at work")


def _verb(name: str, text: str) -> None:
    """Add a verb that takes a run and answers with one line; its message has the same name."""

    @run_group.command(
        name, help=text, epilog=f"Example: zfs-ctl run {name} 3" + EXIT_CODES,
        context_settings=ENVIRONMENT,
    )  # fmt: skip
    @click.argument("run", type=RUN)
    @at_a_bus
    def verb(run: int, broker: str, timeout: float, verbose: int, *, json_: bool) -> None:
        from zfs_walk.protocol import messages

        set_up_logging(verbose)
        make = getattr(messages, name.capitalize())
        reply: Done = ask(broker, timeout, lambda request, until: make(request, until, run))
        if json_:
            click.echo(json.dumps({"schema": 1, "run": run, "detail": reply.detail}))
        else:
            click.echo(f"run {run}: {reply.detail}")


_verb("pause", "Stop granting; holders commit and give back.")
_verb("continue", "Go on with a paused run.")
_verb("abort", "End a run; what was counted stays.")
_verb("retry", "Take the items up again that were given up (quarantined).")
_verb("verify", "Check the books: items, and totals against the ledger.")


@run_group.command(
    "prune",
    epilog="Examples:\n\n\b\n  zfs-ctl run prune 3\n  zfs-ctl run prune --older-than 30d"
    + EXIT_CODES,
    context_settings=ENVIRONMENT,
)
@click.argument("run", type=RUN, required=False)
@click.option("--older-than", type=DURATION, metavar="TIME", help="All that ended so long ago.")
@at_a_bus
def run_prune(  # noqa: PLR0913 -- one argument an option
    run: int | None,
    older_than: float | None,
    broker: str,
    timeout: float,
    verbose: int,
    *,
    json_: bool,
) -> None:
    """Forget runs that are over; their catalogs stay."""
    from zfs_walk.protocol.messages import Prune

    set_up_logging(verbose)
    if (run is None) == (older_than is None):
        raise WrongUseError(reason="give either RUN or --older-than TIME")
    age = round(1000 * (older_than or 0.0))
    reply: Done = ask(broker, timeout, lambda name, until: Prune(name, until, run or 0, age))
    if json_:
        click.echo(json.dumps({"schema": 1, "detail": reply.detail}))
    else:
        click.echo(reply.detail)
