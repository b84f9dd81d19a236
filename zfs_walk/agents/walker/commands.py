"""What a broker orders an agent to do with COMMAND. No I/O, no clock."""

from zfs_walk.agents.events import SetLogLevel
from zfs_walk.agents.link import Link, wrong_level
from zfs_walk.agents.walker.crew import Crew
from zfs_walk.agents.walker.draining import Draining
from zfs_walk.agents.walker.events import Instruction
from zfs_walk.agents.walker.holdings import Holdings
from zfs_walk.protocol.messages import MOST_WORKERS, Command, CommandDone


class Commands:
    """Obeys COMMANDs and answers each with COMMAND_DONE."""

    def __init__(
        self, crew: Crew, held: Holdings, link: Link, draining: Draining, out: list[Instruction]
    ) -> None:
        """Nothing was ordered yet.

        Args:
            crew: the workers.
            held: the units.
            link: the session; its next HELLO tells the number of workers.
            draining: how the agent leaves.
            out: where instructions go.
        """
        self._crew = crew
        self._held = held
        self._link = link
        self._draining = draining
        self._out = out

    def obey(self, command: Command, now: float) -> None:
        """Do what a COMMAND says; one that is repeated does no harm."""
        match command.name:
            case "pause":
                self._held.release(command.run, "paused")
            case "release":
                for unit in self._held:
                    if unit.uid == command.uid:
                        unit.releasing = unit.releasing or "released by request"
            case "abort":
                self._held.run_is(command.run, "ABORTED")
            case "drain":
                self._draining.begin("drained by request", now)
                self._done(command, "it hands its work back and ends")
                return
            case "resize":
                self._resize(command)
                return
            case "set-log-level":
                self._set_level(command)
                return
        self._done(command, "")

    def _done(self, command: Command, detail: str, *, ok: bool = True) -> None:
        self._held.send(CommandDone(command.id, ok=ok, detail=detail))

    def _set_level(self, command: Command) -> None:
        wrong = wrong_level(command.level)
        if not wrong:
            self._crew.set_level(command.level, command.logger)
            self._out.append(SetLogLevel(command.level, command.logger))
        self._done(command, wrong, ok=not wrong)

    def _resize(self, command: Command) -> None:
        if self._draining.reason:
            self._done(command, f"it is leaving: {self._draining.reason}", ok=False)
        elif not 1 <= command.workers <= MOST_WORKERS:
            self._done(command, f"1 to {MOST_WORKERS} workers are possible", ok=False)
        else:
            before, self._link.capacity = self._crew.capacity, command.workers
            self._crew.resize(command.workers)
            self._done(command, f"{before} -> {command.workers} workers")
