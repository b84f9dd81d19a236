"""``zfs-ctl``: operates a bus."""
# ruff: noqa: PLC0415 -- whoever asks for --help does not wait for ZeroMQ

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from zfs_walk import __version__
from zfs_walk.cli.command import (
    ENVIRONMENT,
    PREFIX,
    SECONDS,
    broker_option,
    host_name,
    run_command,
    set_up_logging,
    shared,
    version_option,
)

if TYPE_CHECKING:
    from zfs_walk.protocol.messages import AgentList, Done, Message, RunList, RunStatus

EXIT_CODES = """

Exit codes: 0 all well, 2 wrong use or refused, 4 no broker, 5 another protocol version."""


def ask(broker: str, timeout: float, request: Callable[[str, int], "Message"]) -> Any:
    """Ask the broker once."""
    from zfs_walk.bus.client import Client
    from zfs_walk.bus.sockets import Bus

    bus = Bus()
    client = Client(bus, broker, host_name(None), __version__, timeout)
    try:
        return client.ask(request)
    finally:
        client.close()
        bus.close()


def at_a_bus(function: Any) -> Any:
    """Add the options of every verb."""
    for option in (
        click.option("--json", "json_", is_flag=True, envvar=f"{PREFIX}_JSON",
                     help="JSON instead of text."),
        click.option("--timeout", type=SECONDS, default=10.0, show_default=True,
                     help="Seconds to wait for the broker's answer."),
        broker_option,
        shared,
    ):  # fmt: skip
        function = option(function)
    return function


@click.group(epilog="Examples:\n\n\b\n  zfs-ctl run list\n  zfs-ctl agent list --json" + EXIT_CODES)
@version_option
def main() -> None:
    """Operate a bus: its runs and its agents."""


@main.group("run")
def run_group() -> None:
    """Runs: list, show, pause, continue, abort, verify."""


@main.group("agent")
def agent_group() -> None:
    """Agents: list."""


@run_group.command(
    "list", epilog="Example: zfs-ctl run list" + EXIT_CODES, context_settings=ENVIRONMENT
)
@at_a_bus
def run_list(broker: str, timeout: float, verbose: int, *, json_: bool) -> None:
    """List the runs, the newest first."""
    from zfs_walk.cli.summary import show_path
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
                "seconds": line.age_ms / 1000,
                "roots": [show_path(root) for root in line.roots],
            }
            for line in reply.runs
        ]
        click.echo(json.dumps({"schema": 1, "runs": rows}, indent=2))
        return
    for line in reply.runs:
        roots = " ".join(show_path(root) for root in line.roots)
        click.echo(
            f"{line.run:>6}  {line.state:<16} {line.entries:>14,} entries"
            f" {line.items_left:>8,} left {line.age_ms / 1000:>9.1f} s  {roots}"
        )


@run_group.command(
    "show", epilog="Example: zfs-ctl run show 3" + EXIT_CODES, context_settings=ENVIRONMENT
)
@click.argument("run", type=int)
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
    @click.argument("run", type=int)
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
_verb("verify", "Check the books: items, and totals against the ledger.")


@agent_group.command(
    "list", epilog="Example: zfs-ctl agent list" + EXIT_CODES, context_settings=ENVIRONMENT
)
@at_a_bus
def agent_list(broker: str, timeout: float, verbose: int, *, json_: bool) -> None:
    """List the agents."""
    from zfs_walk.protocol.messages import Agents

    set_up_logging(verbose)
    reply: AgentList = ask(broker, timeout, Agents)
    if json_:
        rows = [
            {
                "session": agent.session,
                "role": agent.role,
                "host": agent.host,
                "name": agent.name,
                "pid": agent.pid,
                "version": agent.version,
                "workers": agent.capacity,
                "state": agent.state,
                "silent_seconds": agent.silent_ms / 1000,
                "units": agent.units,
                "rss": agent.rss,
            }
            for agent in reply.agents
        ]
        click.echo(json.dumps({"schema": 1, "agents": rows}, indent=2))
        return
    for agent in reply.agents:
        click.echo(
            f"{agent.host:<20} {agent.name:<16} {agent.role:<9} {agent.state:<8}"
            f" pid {agent.pid:<8} {agent.capacity:>3} workers {agent.units:>3} units"
        )


def run() -> None:
    """Console entry point."""
    run_command(main, "zfs-ctl")


if __name__ == "__main__":
    run()
