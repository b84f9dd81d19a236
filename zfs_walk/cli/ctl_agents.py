"""``zfs-ctl agent``: the agents of a bus."""
# ruff: noqa: PLC0415 -- whoever asks for --help does not wait for ZeroMQ

import json
from typing import TYPE_CHECKING

import click

from zfs_walk.cli.asking import EXIT_CODES, ask, at_a_bus
from zfs_walk.cli.command import ENVIRONMENT, set_up_logging

if TYPE_CHECKING:
    from zfs_walk.protocol.messages import AgentList


@click.group("agent")
def agent_group() -> None:
    """Agents: list."""


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
