"""Scouts, their folders and a broker in simulated time, and all that can go wrong between them.

The cores and the journal are the real ones; folders are dicts. Every choice comes from one seeded
random generator, so a seed is a schedule.
"""

import random
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.unit.agents.scout.making import List, Row
from tests.unit.broker.making import journal_in_memory
from zfs_walk.agents.events import Connected, Exit, FromBroker, Reconnect
from zfs_walk.agents.events import Send as AgentSend
from zfs_walk.agents.events import Tick as AgentTick
from zfs_walk.agents.link import Identity
from zfs_walk.agents.scout.core import ScoutCore
from zfs_walk.agents.scout.events import Event, Folder, Stirred
from zfs_walk.broker.core import BrokerCore
from zfs_walk.broker.events import Received, Send, Tick
from zfs_walk.broker.settings import Settings
from zfs_walk.protocol.codec import BUS
from zfs_walk.protocol.files import (
    ClaimLine,
    ClaimList,
    Claims,
    FilePage,
    Files,
    FilesAck,
    FilesQuery,
    Place,
    Resync,
)
from zfs_walk.protocol.messages import CLIENT, Hello, Message

READER = b"reader"
NAMES = [b"%02d" % n for n in range(40)] + [b"d/\xff", b"d/x", b"e\n"]
NEVER = 2**60
"""A deadline of a request that is not over in any schedule."""

QUIET = 60.0
"""Seconds without a fault after which every list must be true: lost sessions are back by then."""


@dataclass(slots=True)
class Watched:
    """A folder and its watch."""

    path: bytes
    place: Place
    source: List = field(default_factory=List)
    serving: bool = False

    def stirred(self, number: int) -> Stirred:
        return Stirred(
            number,
            self.place,
            (Place(1, 2),),
            "poll",
            self.serving,
            "" if self.serving else "it is gone",
        )


@dataclass(slots=True)
class Scout:
    """A scout's process and its socket."""

    name: str
    folders: list[Watched]
    core: ScoutCore
    route: bytes = b""
    due: float | None = 0.0
    up: deque[Message] = field(default_factory=deque)
    down: deque[Message] = field(default_factory=deque)


class World:
    """Everything."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = self.rng.uniform(1e3, 1e5)
        self.counts: Counter[str] = Counter()
        self._journal = journal_in_memory()
        self._settings = Settings()
        self._unix = 1_700_000_000
        self._number = 0
        self._answers: list[Message] = []
        self._broker = self._new_broker()
        self.scouts = []
        for n in range(2):
            folders = [
                Watched(b"/data%d/%d" % (n, m), Place(1, 10 * n + m + 5)) for m in range(n + 1)
            ]
            self.scouts.append(Scout(f"scout-{n}", folders, self._new_core(f"scout-{n}", folders)))

    def _new_broker(self) -> BrokerCore:
        self._unix += 1
        return BrokerCore(self._journal, self._settings, self._unix, self.now)

    def _new_core(self, name: str, folders: list[Watched]) -> ScoutCore:
        self._number += 1
        identity = Identity("scout", "h0", name, f"boot-{self._number}", self._number, "0", 0)
        claims = [Folder(each.path, each.place, (Place(1, 2),), each.source) for each in folders]
        return ScoutCore(identity, claims, 1e9, self.now)

    # ------------------------------------------------------------------ what happens

    def step(self) -> None:
        """One thing at random."""
        scout = self.rng.choice(self.scouts)
        deeds = [
            (12, self._change), (10, self._deliver_up), (10, self._deliver_down), (6, self._tick),
            (1, self._lose_an_answer), (1, self._lose_a_message), (1, self._repeat),
            (1, self._ask_to_resync), (1, self._turn), (0.3, self._break),
            (0.2, self._restart_broker), (0.1, self._restart_scout), (0.1, self._sleep),
        ]  # fmt: skip
        [deed] = self.rng.choices([deed for _, deed in deeds], [weight for weight, _ in deeds])
        deed(scout)

    def come_to_rest(self) -> None:
        """Nothing goes wrong any more, and every folder is there."""
        for scout in self.scouts:
            for number, folder in enumerate(scout.folders):
                folder.serving = True
                self._take(scout, folder.stirred(number))
        until = self.now + QUIET
        while self.now < until:
            for scout in self.scouts:
                while scout.up or scout.down:
                    self._deliver_up(scout)
                    self._deliver_down(scout)
            self._tick(self.scouts[0])

    def _change(self, scout: Scout) -> None:
        number = self.rng.randrange(len(scout.folders))
        folder = scout.folders[number]
        for name in self.rng.choices(NAMES, k=self.rng.choice((1, 1, 20))):
            if name in folder.source.rows and self.rng.random() < 0.4:
                folder.source.remove(name)
            else:
                folder.source.put(name, self.rng.randrange(9))
        self._take(scout, folder.stirred(number))

    def _turn(self, scout: Scout) -> None:
        """A folder goes, or comes."""
        number = self.rng.randrange(len(scout.folders))
        folder = scout.folders[number]
        folder.serving = not folder.serving
        self._take(scout, folder.stirred(number))

    def _deliver_up(self, scout: Scout) -> None:
        if scout.up:
            self._tell_broker(scout.route, scout.up.popleft())

    def _deliver_down(self, scout: Scout) -> None:
        if scout.down:
            self._take(scout, FromBroker(scout.down.popleft()))

    def _tick(self, _scout: Scout) -> None:
        self.now += self.rng.uniform(0.01, 0.9)
        self._carry(self._broker.handle(Tick(), self.now))
        for scout in self.scouts:
            if scout.due is not None and self.now >= scout.due:
                scout.due = None
                self._number += 1
                scout.route = b"route-%d" % self._number
                self._take(scout, Connected())
            self._take(scout, AgentTick())

    # ------------------------------------------------------------------ what goes wrong

    def _lose_an_answer(self, scout: Scout) -> None:
        """A queue of the broker's was full."""
        if scout.down and isinstance(scout.down[0], FilesAck | Resync):
            self.counts["lost answers"] += 1
            scout.down.popleft()

    def _lose_a_message(self, scout: Scout) -> None:
        """A broker that could not read it."""
        if scout.up and isinstance(scout.up[0], Files):
            self.counts["lost messages"] += 1
            scout.up.popleft()

    def _repeat(self, scout: Scout) -> None:
        if scout.up and isinstance(scout.up[0], Files):
            self.counts["repeats"] += 1
            scout.up.appendleft(scout.up[0])

    def _ask_to_resync(self, scout: Scout) -> None:
        scout.down.append(Resync(self.rng.randrange(len(scout.folders))))

    def _break(self, scout: Scout) -> None:
        """The socket is given up with all that is in it."""
        self.counts["breaks"] += 1
        scout.up.clear()
        scout.down.clear()

    def _restart_broker(self, _scout: Scout) -> None:
        self.counts["broker restarts"] += 1
        self._broker = self._new_broker()
        for scout in self.scouts:
            scout.down.clear()
            while scout.up and self.rng.random() < 0.5:
                scout.up.popleft()

    def _restart_scout(self, scout: Scout) -> None:
        """Killed, and started again at once; what its watches find is a fresh list."""
        self.counts["scout restarts"] += 1
        self._break(scout)
        for folder in scout.folders:
            folder.source.changed.clear()
        scout.core = self._new_core(scout.name, scout.folders)
        scout.due = self.now
        for number, folder in enumerate(scout.folders):
            self._take(scout, folder.stirred(number))

    def _sleep(self, scout: Scout) -> None:
        """A process that is stopped until its session is LOST."""
        self.counts["sleeps"] += 1
        others = [each for each in self.scouts if each is not scout]
        until = self.now + 20.0
        while self.now < until:
            self.now += 0.5
            self._carry(self._broker.handle(Tick(), self.now))
            for other in others:
                self._take(other, AgentTick())
                while other.up or other.down:
                    self._deliver_up(other)
                    self._deliver_down(other)

    # ------------------------------------------------------------------ between the cores

    def _take(self, scout: Scout, event: Event) -> None:
        for instruction in scout.core.handle(event, self.now):
            match instruction:
                case AgentSend(message):
                    self._count(message)
                    scout.up.append(BUS.decode(BUS.encode(message)))
                case Reconnect(delay):
                    scout.up.clear()
                    scout.down.clear()
                    scout.due = self.now + delay
                case Exit(failure):
                    raise AssertionError(f"{scout.name} ended: {failure}")

    def _count(self, message: Message) -> None:
        if isinstance(message, Files):
            kind = "pieces" if message.whole else "changes"
            self.counts[kind] += 1
            self.counts["generations"] += message.whole and message.version == 1

    def _tell_broker(self, route: bytes, message: Message) -> None:
        self._carry(self._broker.handle(Received(route, message), self.now))

    def _carry(self, instructions: Iterable[object]) -> None:
        routes = {scout.route: scout for scout in self.scouts}
        for instruction in instructions:
            if isinstance(instruction, Send):
                message = BUS.decode(BUS.encode(instruction.message))
                if instruction.route == READER:
                    self._answers.append(message)
                elif instruction.route in routes:
                    routes[instruction.route].down.append(message)

    # ------------------------------------------------------------------ readers

    def _ask(self, request: Message) -> Message:
        self._answers.clear()
        self._tell_broker(READER, request)
        [answer] = self._answers
        return answer

    def claims(self) -> tuple[ClaimLine, ...]:
        """What CLAIMS answers."""
        self._tell_broker(READER, Hello(1, 1, CLIENT, "h9", "ctl", "reader", 1, 1, "0", 0, (), 0))
        listed = self._ask(Claims("1", NEVER))
        assert isinstance(listed, ClaimList), listed
        return listed.claims

    def rows(self, path: bytes) -> list[Row]:
        """All rows of a claim, as FILES_QUERY answers."""
        rows: list[Row] = []
        while True:
            after = rows[-1].name if rows else b""
            page = self._ask(FilesQuery("1", NEVER, "h0", path, b"", after, 7))
            assert isinstance(page, FilePage), page
            rows += map(Row, page.names, page.sizes, page.mtimes, page.flags)
            if not page.more:
                return rows
