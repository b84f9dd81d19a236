"""``zfs-ctl agent``: the agents of a bus."""
# ruff: noqa: PLC0415 -- whoever asks for --help does not wait for ZeroMQ

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from zfs_walk.cli.asking import EXIT_CODES, ask, at_a_bus
from zfs_walk.cli.command import ENVIRONMENT, set_up_logging
from zfs_walk.protocol.statistics import MOST_WORKERS

if TYPE_CHECKING:
    from zfs_walk.protocol.messages import AgentList, Done, Message


@click.group("agent")
def agent_group() -> None:
    """Agents: list, drain, resize."""


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


_host_option = click.option("--host", default="", help="Of the agent, where names are not unique.")


@agent_group.command(
    "drain", epilog="Example: zfs-ctl agent drain walker-1" + EXIT_CODES,
    context_settings=ENVIRONMENT,
)  # fmt: skip
@click.argument("name")
@_host_option
@at_a_bus
def agent_drain(  # noqa: PLR0913 -- one argument an option
    name: str, host: str, broker: str, timeout: float, verbose: int, *, json_: bool
) -> None:
    """Let an agent hand its work back and end."""
    from zfs_walk.protocol.messages import Drain

    set_up_logging(verbose)
    _order(name, broker, timeout, lambda ask, until: Drain(ask, until, host, name), json_=json_)


@agent_group.command(
    "resize", epilog="Example: zfs-ctl agent resize walker-1 8" + EXIT_CODES,
    context_settings=ENVIRONMENT,
)  # fmt: skip
@click.argument("name")
@click.argument("workers", type=click.IntRange(1, MOST_WORKERS))
@_host_option
@at_a_bus
def agent_resize(  # noqa: PLR0913, PLR0917 -- one argument an option
    name: str, workers: int, host: str, broker: str, timeout: float, verbose: int, *, json_: bool
) -> None:
    """Let an agent go on with another number of workers; no work is lost."""
    from zfs_walk.protocol.messages import Resize

    set_up_logging(verbose)
    _order(
        name, broker, timeout, lambda ask, until: Resize(ask, until, host, name, workers),
        json_=json_,
    )  # fmt: skip


def _order(
    name: str,
    broker: str,
    timeout: float,
    request: Callable[[str, int], "Message"],
    *,
    json_: bool,
) -> None:
    reply: Done = ask(broker, timeout, request)
    if json_:
        click.echo(json.dumps({"schema": 1, "agent": name, "detail": reply.detail}))
    else:
        click.echo(f"{name}: {reply.detail}")
