"""A load generator's core with two consumers, for the tests of this folder."""

from typing import TypeVar

from zfs_walk.agents.events import Connected, FromBroker, Tick
from zfs_walk.agents.link import Identity
from zfs_walk.agents.loadgen.core import LoadCore
from zfs_walk.agents.loadgen.events import Event, Instruction, Said, Tell
from zfs_walk.agents.loadgen.members import Member
from zfs_walk.agents.loadgen.run import FIRST, Run, RunSettings
from zfs_walk.agents.loadgen.tasks import (
    Ask,
    Beat,
    Checked,
    FromProcess,
    Go,
    LaidOut,
    Ready,
    Report,
    ToProcess,
    Watch,
)
from zfs_walk.load.figures import Figures, Rollover, packed
from zfs_walk.load.spec import LoadSpec
from zfs_walk.protocol.messages import HeartbeatAck, Message, Welcome
from zfs_walk.protocol.records import NO_ENDPOINTS

MIB = 1 << 20
Kind = TypeVar("Kind")
MONITOR, A, B = FIRST, FIRST + 1, FIRST + 2
EVERYBODY = (MONITOR, A, B)
WELCOME = Welcome(7, 1, 1, 0, 1000, 15000, 500, 4, NO_ENDPOINTS, (), ())


def settings(duration: float = 10.0, heartbeat: float = 1.0) -> RunSettings:
    specs = tuple(LoadSpec(name=name, target="/data") for name in ("a", "b"))
    return RunSettings(specs, duration, heartbeat=heartbeat, grace=5.0)


class Agent:
    """A core with a run of its own, or one that stands by; and the time."""

    def __init__(self, duration: float = 10.0, heartbeat: float = 1.0, *, own: bool = True) -> None:
        self.now = 50.0
        identity = Identity("loadgen", "h", "lg", "boot", 9, "0", 2)
        work = settings(duration, heartbeat) if own else None
        self.core = LoadCore(identity, self.now, work)

    @property
    def run(self) -> Run:
        assert self.core.run is not None
        return self.core.run

    def member(self, number: int) -> Member:
        return self.run.members[number]

    def take(self, event: Event) -> list[Instruction]:
        return self.core.handle(event, self.now)

    def hear(self, message: Message) -> list[Instruction]:
        return self.take(FromBroker(message))

    def say(self, *messages: FromProcess) -> list[Instruction]:
        return [out for message in messages for out in self.take(Said(message))]

    def after(
        self, seconds: float, *, answering: tuple[int, ...] = (), alone: bool = False
    ) -> list[Instruction]:
        """What ticks make, with the heartbeats of those who answer; ``alone``: no broker does."""
        out: list[Instruction] = []
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + 0.25)
            made = self.take(Tick())
            for tell in of(made, Tell):
                if isinstance(tell.message, Ask) and tell.worker in answering:
                    made += self.say(Beat(tell.worker, tell.message.n))
            if self.core.link.live and not alone:
                self.hear(HeartbeatAck(0, 1, 1000, ()))
            out += made
        return out

    def welcomed(self) -> "Agent":
        self.take(Connected())
        self.hear(WELCOME)
        return self

    def started(self) -> "Agent":
        self.after(0.25)
        self.say(*(Ready(number, 100 + number) for number in EVERYBODY))
        return self

    def running(self) -> "Agent":
        self.started().say(checked(A), checked(B))
        out = self.say(LaidOut(A), LaidOut(B))
        assert [type(tell.message) for tell in of(out, Tell)] == [Go, Go, Watch]
        return self


def checked(worker: int, took: float = 0.001, failed: str = "") -> Checked:
    return Checked(worker, MIB, round(took * 1e9), 1, 10**12, 10**12, failed)


def of(out: list[Instruction], kind: type[Kind]) -> list[Kind]:
    return [each for each in out if isinstance(each, kind)]


def told(out: list[Instruction], kind: type[ToProcess]) -> list[int]:
    return [tell.worker for tell in of(out, Tell) if isinstance(tell.message, kind)]


def report(worker: int, seq: int, written: int, *rollovers: int) -> Report:
    recent = [Rollover(number, number, 1, 1.0, 1.0) for number in rollovers]
    figures = Figures(seconds=seq / 2, written=written, rollovers=len(rollovers), recent=recent)
    return Report(worker, seq, packed(figures))
