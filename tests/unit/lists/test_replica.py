"""A replica has what the scouts have said, however stream and answers are mixed, lost or repeated.

A real broker's core is between them. The oracle is what each scout has sent, put into `sorted`.
"""

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.unit.broker.making import Broker, claim, files, heartbeat, hello, only
from zfs_walk.lists.events import (
    Answered,
    Appeared,
    Ask,
    AskClaims,
    Changed,
    Check,
    Event,
    Joined,
    Left,
    News,
)
from zfs_walk.lists.replica import Replica, Row
from zfs_walk.protocol.messages import (
    CLIENT,
    SCOUT,
    Bye,
    Claimed,
    ClaimList,
    Claims,
    ClaimStatus,
    FileChanges,
    FilePage,
    FilesAck,
    FilesQuery,
    Message,
)

PAGE = 2
"""Rows of a page: so that most lists have several."""


@dataclass
class Folder:
    """What a scout has sent of a claim; ``known`` is what the broker acknowledged, if anything."""

    host: str
    number: int
    generation: int = 0
    version: int = 0
    willing: bool = True
    pieces: list[list[bytes]] = field(default_factory=list)
    sizes: dict[bytes, int] = field(default_factory=dict)
    known: dict[bytes, int] | None = None

    @property
    def path(self) -> bytes:
        return b"/data/%d" % self.number


class Scout:
    """One agent of the role scout, with two folders."""

    def __init__(self, world: "World", host: str) -> None:
        self.world, self.host = world, host
        self.boot = 0
        self.live = False
        self.attached = False
        self.folders = [Folder(host, 1), Folder(host, 2)]

    def attach(self) -> None:
        """Say HELLO and claim, unless that is done."""
        if self.attached:
            return
        self.attached = self.live = True
        fields = {"role": SCOUT, "host": self.host, "boot": f"b{self.boot}"}
        self.send(hello("scout", **fields))
        for folder in self.folders:
            self.claim(folder)

    def end(self) -> None:
        """Say goodbye; the next message is another process's."""
        self.send(Bye(""))
        self.attached = self.live = False
        self.boot += 1
        for each in self.folders:
            each.known, each.generation, each.version = None, 0, 0
            each.pieces = []

    def claim(self, folder: Folder) -> None:
        said = claim(folder.number, folder.path, 10 + folder.number, serving=folder.willing)
        (answer,) = only(self.send(said), Claimed)
        standing = folder.generation, folder.version
        if not folder.generation or (answer.generation, answer.version) != standing:
            self.begin(folder)

    def begin(self, folder: Folder) -> None:
        """Send the next generation, the first piece of it now."""
        folder.generation, folder.version = folder.generation + 1, 0
        names = sorted(folder.sizes)
        folder.pieces = [names[at : at + 2] for at in range(0, len(names), 2)] or [[]]
        self.piece(folder)

    def piece(self, folder: Folder) -> None:
        if not folder.pieces:
            return
        names = folder.pieces.pop(0)
        folder.version += 1
        last = not folder.pieces
        sizes = tuple(folder.sizes[name] for name in names)
        message = files(
            folder.generation, folder.version, *names, number=folder.number, whole=True, last=last
        )
        self.deliver(folder, message, sizes)
        if last:
            folder.known = dict(folder.sizes)

    def change(self, folder: Folder, names: set[bytes], size: int) -> None:
        """Some names come or change, and if ``size`` is 0 they go."""
        while folder.pieces:
            self.piece(folder)
        folder.version += 1
        gone = tuple(names) if not size else ()
        come = tuple(names) if size else ()
        for name in gone:
            folder.sizes.pop(name, None)
        folder.sizes.update(dict.fromkeys(come, size))
        message = files(
            folder.generation, folder.version, *come, removed=gone, number=folder.number
        )
        self.deliver(folder, message, (size,) * len(come))
        folder.known = dict(folder.sizes)

    def deliver(self, folder: Folder, message: Any, sizes: tuple[int, ...]) -> None:
        object.__setattr__(message, "sizes", sizes)
        (ack,) = only(self.send(message), FilesAck)
        assert (ack.generation, ack.version) == (folder.generation, folder.version)

    def send(self, message: Message) -> list[tuple[bytes, Message]]:
        self.live = True
        return self.world.to_broker(self.host.encode(), message)


class World:
    """Scouts, a broker, a replica, and what is on its way between them."""

    def __init__(self) -> None:
        self.broker = Broker()
        self.replica = Replica()
        self.mirror: dict[tuple[str, bytes], dict[bytes, int]] = {}
        self.replica.listeners.append(self.mirrored)
        self.scouts = [Scout(self, "h1"), Scout(self, "h2")]
        self.stream: deque[Message] = deque()
        self.asks: deque[Ask] = deque()
        self.answers: deque[Answered] = deque()
        self.lossy = False
        self.join()

    # ------------------------------------------------------------------ what the broker does

    def to_broker(self, route: bytes, message: Message) -> list[tuple[bytes, Message]]:
        sent = self.broker.take(route, message)
        self.collect()
        return sent

    def collect(self) -> None:
        self.stream += [message for _, message in self.broker.published]
        self.broker.published.clear()

    def answer(self) -> None:
        """The broker answers the next question."""
        if not self.asks:
            return
        ask = self.asks.popleft()
        if isinstance(ask, AskClaims):
            message: Message = Claims("r", 0)
        else:
            message = FilesQuery("r", 0, ask.host, ask.path, b"", ask.after, PAGE)
        said = [m for _, m in self.to_broker(b"client", message)]
        answer = next((m for m in said if isinstance(m, ClaimList | FilePage)), None)
        self.answers.append(Answered(ask, answer))

    def restart(self) -> None:
        """The broker is killed and another one goes on; what was on its way is lost."""
        self.broker = self.broker.restart()
        for scout in self.scouts:
            scout.live = scout.attached = False
            for folder in scout.folders:
                folder.known = None
        self.stream.clear()
        self.answers.clear()
        self.asks.clear()
        self.join()

    def join(self) -> None:
        self.broker.take(b"client", hello("client", role=CLIENT))
        self.collect()
        self.stream.clear()
        self.happens(Joined())

    # ------------------------------------------------------------------ what the replica does

    def happens(self, event: Event) -> None:
        self.asks += self.replica.handle(event)
        assert self.merged() == self.replica.merged()
        if self.quiet and not self.lossy and self.replica.settled:
            assert self.replica.merged() == self.truth()

    def mirrored(self, news: News) -> None:
        """What somebody has who only listens, and reads a claim when it appears."""
        key = news.host, news.path
        match news:
            case Appeared():
                assert key not in self.mirror
                rows = self.replica.copies[key].files
                assert rows is not None
                columns, _ = rows.rows(b"", b"", 10**9)
                self.mirror[key] = dict(zip(columns.names, columns.sizes, strict=True))
            case Left():
                del self.mirror[key]
            case Changed(_, _, removed, rows, _):
                for name in removed:
                    self.mirror[key].pop(name, None)
                self.mirror[key].update(zip(rows.names, rows.sizes, strict=True))

    def merged(self) -> list[Row]:
        return sorted(
            (name, host, path, size, 2, 0)
            for (host, path), rows in self.mirror.items()
            for name, size in rows.items()
        )

    def stream_one(self) -> None:
        if self.stream:
            message = self.stream.popleft()
            assert isinstance(message, ClaimStatus | FileChanges)
            self.happens(message)

    @property
    def quiet(self) -> bool:
        return not (self.stream or self.asks or self.answers)

    def truth(self) -> list[Row]:
        return sorted(
            (name, scout.host, folder.path, size, 2, 0)
            for scout in self.scouts
            for folder in scout.folders
            if scout.live and folder.willing and folder.known is not None
            for name, size in folder.known.items()
        )

    def settle(self) -> None:
        """Everything arrives, and the replica looks a few times whether something is missing."""
        for _ in range(4):
            while not self.quiet:
                while self.stream:
                    self.stream_one()
                self.answer()
                while self.answers:
                    self.happens(self.answers.popleft())
            self.happens(Check())

    # ------------------------------------------------------------------ a script

    def do(  # noqa: C901, PLR0912 -- a case for each kind
        self, what: tuple[str, int, set[bytes], int]
    ) -> None:
        kind, which, names, size = what
        scout = self.scouts[which % 2]
        folder = scout.folders[which // 2]
        if kind in SCOUTS:
            scout.attach()
        match kind:
            case "change":
                scout.change(folder, names, size)
            case "whole":
                scout.begin(folder)
            case "piece":
                scout.piece(folder)
            case "serve":
                folder.willing = size > 0
                scout.claim(folder)
            case "beat":
                scout.send(heartbeat())
            case "bye":
                scout.end()
            case "stream":
                for _ in range(size + 1):
                    self.stream_one()
            case "answer":
                for _ in range(size + 1):
                    self.answer()
            case "arrive":
                if self.answers:
                    self.happens(self.answers.popleft())
            case "check":
                self.happens(Check())
            case _:
                self.fail(kind)

    def fail(self, kind: str) -> None:
        match kind:
            case "silence":
                self.broker.after(4.0)
                self.collect()
                for each in self.scouts:
                    each.live = False
            case "restart":
                self.restart()
            case "rejoin":
                self.answers.clear()
                self.asks.clear()
                self.join()
            case "lose" if self.stream:
                self.lossy = True
                self.stream.popleft()
            case "repeat" if self.stream:
                self.stream.appendleft(self.stream[0])


ALL = [b"a", b"b", b"c/d", b"c/\xff", b"e", b"f", b"g"]
OFTEN = (
    "change", "change", "change", "stream", "stream", "answer", "answer", "arrive", "arrive",
)  # fmt: skip
SELDOM = (
    "whole", "whole", "piece", "piece", "serve", "beat", "bye", "silence", "restart", "lose",
    "repeat", "check", "rejoin",
)  # fmt: skip
SCOUTS = {"change", "whole", "piece", "serve", "beat", "bye"}
STEPS = 80


def step(dice: random.Random) -> tuple[str, int, set[bytes], int]:
    """What happens next: kind, folder, names, and a number or a size."""
    kind = dice.choice(OFTEN if dice.random() < 0.9 else SELDOM)
    names = set(dice.sample(ALL, dice.randint(1, 3)))
    return kind, dice.choice([0, 0, 0, 0, 1, 2, 3]), names, dice.choice([0, 0, 1, 2, 3])


# Lists of steps that hypothesis makes by itself hardly ever change a list while it is being read.
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32))
# A change of a claim of which it was missed that it serves again, before the claims are known.
@example(22_477)
def test_a_replica_comes_to_the_truth_whatever_happens_on_the_way(seed: int) -> None:
    dice = random.Random(seed)
    world = World()
    for scout in world.scouts:
        scout.attach()
        scout.change(scout.folders[0], set(ALL), 9)
    if seed % 2:
        world.settle()
    for _ in range(STEPS):
        world.do(step(dice))
    world.settle()
    assert world.replica.settled
    assert world.replica.merged() == world.truth()
