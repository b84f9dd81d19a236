"""Messages and a broker for the tests of this folder, with everything that a test leaves open."""

import weakref
from typing import Any

from zfs_walk.broker.core import BrokerCore
from zfs_walk.broker.events import (
    Garbled,
    Instruction,
    Note,
    Publish,
    Received,
    Send,
    SendFailed,
    SetLogLevel,
    Tick,
)
from zfs_walk.broker.keys import Keyring
from zfs_walk.broker.overview import Published
from zfs_walk.broker.settings import Settings
from zfs_walk.broker.sqlite import SqliteJournal
from zfs_walk.protocol.files import Place
from zfs_walk.protocol.messages import (
    CLIENT,
    Claim,
    Commit,
    Files,
    Grant,
    Heartbeat,
    Hello,
    Message,
    Submit,
    WorkRequest,
)
from zfs_walk.protocol.records import DIR, Holding, Item, Lease, RootRecord, WalkOptions
from zfs_walk.protocol.statistics import Origin

OPTIONS = WalkOptions(
    names_only=False,
    one_file_system=True,
    max_depth=-1,
    part_limit=50_000,
    excludes=(),
    includes=(),
    default_excludes=True,
    catalog=b"",
    token="",
)
TERM = 1_700_000_000


PUBLISHER = Origin("p0", "broker", "h0", "broker", 7, 0, "0")


def root(path: bytes = b"/data", host: str = "h0", *, network: bool = True) -> RootRecord:
    return RootRecord(path, host, "ext4", 2, network)


def directory(n: int, path: bytes = b"d", root_index: int = 0) -> Item:
    return Item(n, DIR, root_index, path)


def commit(uid: int, epoch: int, seq: int, **fields: Any) -> Commit:
    values: dict[str, Any] = {
        "steal_id": 0, "found": 0, "done": 0, "counters": {}, "errors": (), "segments": (),
        "release": False, "removed": (), "added": (), "split": (), "quarantined": (),
        "attempts": (),
    }  # fmt: skip
    return Commit(uid, epoch, seq, **(values | fields))


def hello(name: str = "walker-0", **fields: Any) -> Hello:
    values: dict[str, Any] = {
        "proto_min": 1, "proto_max": 1, "role": "walker", "host": "h0", "name": name,
        "boot": f"boot of {name}", "conn": 1, "pid": 7, "version": "0", "capacity": 2, "held": (),
        "highest_term": 0,
    }  # fmt: skip
    return Hello(**(values | fields))


def heartbeat(*held: tuple[int, int], want: int = 0, stealable: int = 0, n: int = 1) -> Heartbeat:
    holdings = tuple(Holding(uid, epoch, stealable) for uid, epoch in held)
    return Heartbeat(
        n, holdings, want, serving=True, why="", live=(), rss=0, cpu_ms=0, loop_lag_ms=0
    )


def place(number: int) -> Place:
    return Place(1, number)


def claim(number: int = 1, path: bytes = b"/data", ino: int = 10, **fields: Any) -> Claim:
    values: dict[str, Any] = {
        "place": place(ino), "ancestors": (place(2),), "monitor": "poll", "serving": True,
        "why": "",
    }  # fmt: skip
    return Claim(number, path, **(values | fields))


def files(
    generation: int,
    version: int,
    *names: bytes,
    removed: tuple[bytes, ...] = (),
    size: int = 1,
    number: int = 1,
    whole: bool = False,
    last: bool = False,
) -> Files:
    count = len(names)
    return Files(
        number, generation, version, whole, last, removed, names, (size,) * count, (2,) * count,
        (0,) * count,
    )  # fmt: skip


def lease(uid: int, epoch: int, acked: int = 0) -> Lease:
    return Lease(uid, epoch, acked)


def journal_in_memory(**settings: Any) -> SqliteJournal:
    """One that closes its database when nothing holds it any longer: brokers hand it on."""
    journal = SqliteJournal(":memory:", **settings)
    weakref.finalize(journal, journal._db.close)
    return journal


class Broker:
    """A broker's core over a journal in memory, and a clock that the test moves."""

    def __init__(
        self,
        journal: SqliteJournal | None = None,
        history: Published | None = None,
        keys: Keyring | None = None,
        **settings: Any,
    ) -> None:
        self.journal = journal or journal_in_memory()
        self.now = 1000.0
        self.levels: list[SetLogLevel] = []
        self.notes: list[Note] = []
        self.published: list[tuple[bytes, Message]] = []
        self.core = BrokerCore(
            self.journal, Settings(**settings), TERM, self.now, keys=keys, history=history
        )
        self.journal.commit()

    def take(self, route: bytes, message: Message, user: str = "") -> list[tuple[bytes, Message]]:
        """A message comes, with a public key; what is sent, as (route, message)."""
        return self._handle(Received(route, message, user))

    def garbled(self, route: bytes, code: str, detail: str) -> list[tuple[bytes, Message]]:
        return self._handle(Garbled(route, code, detail))

    def not_sent(
        self, route: bytes, message: Message, *, gone: bool = False
    ) -> list[tuple[bytes, Message]]:
        return self._handle(SendFailed(route, message, gone))

    def after(self, seconds: float) -> list[tuple[bytes, Message]]:
        """Time passes in ticks that a loop would make; what is sent meanwhile."""
        sent: list[tuple[bytes, Message]] = []
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + 0.25)
            sent += self._handle(Tick())
        return sent

    def asleep(self, seconds: float) -> list[tuple[bytes, Message]]:
        """The process was stopped for so long."""
        self.now += seconds
        return self._handle(Tick())

    def _handle(self, event: Received | Garbled | SendFailed | Tick) -> list[tuple[bytes, Message]]:
        out: list[Instruction] = self.core.handle(event, self.now)
        self.journal.commit()
        self.notes += [order for order in out if isinstance(order, Note)]
        self.levels += [order for order in out if isinstance(order, SetLogLevel)]
        for order in out:
            if isinstance(order, Publish):
                made = order.make(PUBLISHER, len(self.published) + 1)
                self.published.append((order.topic, made))
        return [(send.route, send.message) for send in out if isinstance(send, Send)]

    def restart(self, **settings: Any) -> "Broker":
        """The process died; another one goes on with the journal."""
        return Broker(self.journal, **settings)

    # ------------------------------------------------------------------ what many tests begin with

    def join(self, name: str, **fields: Any) -> bytes:
        """An agent says HELLO; its route."""
        route = name.encode()
        self.take(route, hello(name, **fields))
        return route

    def submit(self, *roots: RootRecord, min_agents: int = 1, request: str = "r1") -> int:
        """A client submits a run; its number."""
        self.take(b"client", hello("client", role=CLIENT, capacity=0))
        message = Submit(request, 0, roots or (root(),), OPTIONS, min_agents)
        self.take(b"client", message)
        return self.journal.answer(request)

    def run(self, route: bytes, user: str) -> int:
        """A client that has said HELLO submits a run; its number."""
        self.take(route, Submit("run", 0, (root(),), OPTIONS, 1), user)
        return self.journal.answer("run")

    def granted(self, route: bytes, want: int = 1) -> Grant:
        """An agent asks, and gets a unit."""
        for to, message in self.take(route, WorkRequest(want)):
            if to == route and isinstance(message, Grant):
                return message
        text = "nothing was granted"
        raise AssertionError(text)


def only(sent: list[tuple[bytes, Message]], kind: type, route: bytes | None = None) -> list[Any]:
    """The messages of one type, to one peer or to all."""
    return [m for to, m in sent if isinstance(m, kind) and route in {None, to}]
