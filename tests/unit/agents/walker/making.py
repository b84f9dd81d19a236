"""An agent's core, and the messages of brokers and workers, for the tests of this folder."""

from typing import Any

from zfs_walk.agents.events import Connected, Drain, FromBroker, Note, Send, Tick
from zfs_walk.agents.link import Identity
from zfs_walk.agents.walker.core import AgentCore, AgentSettings
from zfs_walk.agents.walker.events import Event, FromPool, Hurry, Instruction, Tell, WorkerDied
from zfs_walk.agents.walker.tasks import Flushed, FromWorker, Listed, Ready, Walked
from zfs_walk.agents.walker.unit import Unit
from zfs_walk.protocol.messages import Grant, Message, Welcome
from zfs_walk.protocol.records import (
    DIR,
    NO_ENDPOINTS,
    PART,
    Item,
    RootRecord,
    Segment,
    Standing,
    WalkOptions,
)

UID, EPOCH, RUN = 7, 70, 1
IDENTITY = Identity("walker", "h0", "walker-0", "boot", 9, "0", 2)
ROOT = RootRecord(b"/data", "h0", "ext4", 2, network=False)


def options(*, rows: bool = False, to: str = "") -> WalkOptions:
    return WalkOptions(
        names_only=False,
        one_file_system=True,
        max_depth=-1,
        part_limit=50_000,
        excludes=(),
        includes=(),
        default_excludes=True,
        catalog=b"/catalog" if rows else b"",
        token="",
        to=to,
    )


def directory(n: int, path: bytes = b"", deaths: int = 0) -> Item:
    return Item(n, DIR, 0, path or b"d%d" % n, deaths=deaths)


def part(n: int, index: int, parts: int = 4, path: bytes = b"wide", deaths: int = 0) -> Item:
    return Item(n, PART, 0, path, index, parts, deaths)


def grant(*items: Item, rows: bool = False, **fields: Any) -> Grant:
    values: dict[str, Any] = {
        "run": RUN, "uid": UID, "epoch": EPOCH, "attempt": 1, "roots": (ROOT,),
        "options": options(rows=rows), "parked": 0, "items": items or (Item(1, DIR, 0, b""),),
    }  # fmt: skip
    return Grant(**(values | fields))


def welcome(**fields: Any) -> Welcome:
    values: dict[str, Any] = {
        "session": 3, "term": 5, "proto": 1, "now_ms": 0, "heartbeat_ms": 1000,
        "lease_ttl_ms": 15_000, "commit_interval_ms": 5000, "window": 4,
        "endpoints": NO_ENDPOINTS, "keep": (), "drop": (),
    }  # fmt: skip
    return Welcome(**(values | fields))


def standing(applied: int, uid: int = UID, epoch: int = EPOCH) -> Standing:
    return Standing(uid, epoch, applied)


def walked(task: int, worker: int = 1, *found: bytes, **fields: Any) -> Walked:
    """A worker read one directory and gives back the subdirectories that it found in it."""
    values: dict[str, Any] = {
        "worker": worker, "task": task, "result": task, "refused": "", "listed": 1,
        "found": len(found), "untouched": 0, "rows": 0, "micros": 1_000_000, "wide": (0, b""),
        "wide_parts": 0, "counters": {"entries": 1}, "errors": (), "levels": ((0, 1, len(found)),),
        "left": tuple((0, path) for path in found), "failed": (),
    }  # fmt: skip
    return Walked(**(values | fields))


def listed(task: int, parts: int, worker: int = 1, **fields: Any) -> Listed:
    """A worker dealt the names of a wide directory; part i is at offset 100 * i."""
    values: dict[str, Any] = {
        "worker": worker, "task": task, "refused": "", "errno": 0, "kind": "", "gone": False,
        "names": 1000, "micros": 1000, "extents": tuple(((100 * i, 9),) for i in range(parts)),
    }  # fmt: skip
    return Listed(**(values | fields))


def segment(name: str) -> Segment:
    return Segment(name, "rows", 1, 1, "sum")


class Agent:
    """An agent's core with two workers, and a clock that the test moves."""

    def __init__(self, **settings: Any) -> None:
        self.now = 500.0
        self.core = AgentCore(AgentSettings(IDENTITY, **settings), self.now)
        self.started = self.core.start()

    def take(self, event: Event) -> list[Instruction]:
        """An event; the instructions without notes for the log."""
        out = self.core.handle(event, self.now)
        return [instruction for instruction in out if not isinstance(instruction, Note)]

    def hear(self, message: Message) -> list[Instruction]:
        """The broker says something."""
        return self.take(FromBroker(message))

    def worker_says(self, message: FromWorker) -> list[Instruction]:
        return self.take(FromPool(message))

    def dies(
        self, worker: int, place: tuple[int, bytes, int] | None = None, *, pointed: bool = True
    ) -> list[Instruction]:
        return self.take(WorkerDied(worker, "SIGSEGV", pointed, place))

    def after(self, seconds: float) -> list[Instruction]:
        """Time passes in the ticks that the core itself asks for."""
        out: list[Instruction] = []
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, max(self.now, self.core.next_deadline(self.now)))
            out += self.take(Tick())
        return out

    def asleep(self, seconds: float) -> list[Instruction]:
        self.now += seconds
        return self.take(Tick())

    def drain(self) -> list[Instruction]:
        return self.take(Drain("terminated"))

    @property
    def unit(self) -> Unit:
        return self.core.units[UID, EPOCH]


def connected(**settings: Any) -> Agent:
    """An agent with a session and two workers that are ready."""
    agent = Agent(**settings)
    agent.take(Connected())
    agent.hear(welcome())
    for worker in (1, 2):
        agent.worker_says(Ready(worker, worker))
    return agent


def holding(*items: Item, rows: bool = False) -> tuple[Agent, list[Instruction]]:
    """An agent that was just granted a unit, and what it did then."""
    agent = connected()
    return agent, agent.hear(grant(*items, rows=rows))


def flushed(worker: int, cut: int, *names: str, failed: str = "") -> Flushed:
    return Flushed(worker, cut, UID, EPOCH, failed, tuple(map(segment, names)))


def sent(out: list[Instruction], kind: type | None = None) -> list[Any]:
    """Messages to the broker."""
    messages = [i.message for i in out if isinstance(i, Send)]
    return [message for message in messages if kind is None or isinstance(message, kind)]


def told(out: list[Instruction], kind: type | None = None) -> list[Any]:
    """Messages to workers."""
    messages = [i.message for i in out if isinstance(i, Tell)]
    return [message for message in messages if kind is None or isinstance(message, kind)]


def hurries(out: list[Instruction]) -> list[tuple[int, int]]:
    return [(i.worker, i.level) for i in out if isinstance(i, Hurry)]
