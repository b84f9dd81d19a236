"""What agents that have no workers answer alike: commands, and the heartbeat that tells of no work.

No I/O, no clock: it is a part of their cores.
"""

from zfs_walk.agents.events import CommonInstruction, Send, SetLogLevel, Tick
from zfs_walk.agents.link import wrong_level
from zfs_walk.protocol.messages import Command, CommandDone, Heartbeat


def obey(command: Command, role: str, drained: str) -> list[CommonInstruction]:
    """Answer a command; whoever is told to drain leaves after that.

    Args:
        command: of the broker.
        role: of the agent, with its article.
        drained: what becomes of its work when it drains.
    """
    ok, detail = False, f"{role} knows no {command.name}"
    done: list[CommonInstruction] = []
    match command.name:
        case "drain":
            ok, detail = True, drained
        case "resize":
            detail = f"{role} has no workers"
        case "set-log-level":
            detail = wrong_level(command.level)
            ok = not detail
            if ok:
                done.append(SetLogLevel(command.level, command.logger))
    return [*done, Send(CommandDone(command.id, ok=ok, detail=detail))]


def heartbeat(number: int, tick: Tick, want: int = 0) -> Send:
    """The heartbeat of an agent that holds no unit.

    Args:
        number: as `Link.beat` has it.
        tick: with its vitals.
        want: load runs that it is ready for.
    """
    return Send(
        Heartbeat(
            number, (), want, serving=True, why="", live=(), rss=tick.rss, cpu_ms=tick.cpu_ms,
            loop_lag_ms=tick.loop_lag_ms,
        )
    )  # fmt: skip
