"""A scout's core, its folders and the messages of brokers, for the tests of this folder."""

import dataclasses
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar

from zfs_walk.agents.events import CommonInstruction, Connected, FromBroker, Send, Tick
from zfs_walk.agents.link import Identity
from zfs_walk.agents.scout.core import ScoutCore
from zfs_walk.agents.scout.events import Event, Folder, Stirred
from zfs_walk.protocol.files import Claim, Claimed, Files, FilesAck, Place
from zfs_walk.protocol.messages import Message, Parked, Welcome
from zfs_walk.protocol.records import NO_ENDPOINTS

IDENTITY = Identity("scout", "h0", "scout-1", "boot", 9, "0", 0)
WAY = "its list is on the way to the broker"
"""What a claim says that is watched, and whose list the broker does not have yet."""

Kind = TypeVar("Kind")


class Row(NamedTuple):
    """A file of a list."""

    name: bytes
    size: int = 1
    mtime_ns: int = 2
    flags: int = 0


class List:
    """A folder's list as a watch has it, made by the test."""

    def __init__(self, *names: bytes) -> None:
        self.rows = {name: Row(name) for name in names}
        self.changed: dict[bytes, None] = {}

    def put(self, name: bytes, size: int = 1) -> None:
        self.rows[name] = Row(name, size)
        self.changed[name] = None

    def remove(self, name: bytes) -> None:
        del self.rows[name]
        self.changed[name] = None

    def page(self, after: bytes, limit: int) -> list[Row]:
        return [self.rows[name] for name in sorted(self.rows) if name > after][:limit]

    def changes(self, limit: int) -> tuple[list[bytes], list[Row]]:
        names = list(self.changed)[:limit]
        for name in names:
            del self.changed[name]
        gone = [name for name in names if name not in self.rows]
        return gone, [self.rows[name] for name in names if name in self.rows]


def folder(source: List, number: int = 0) -> Folder:
    return Folder(b"/data%d" % number, Place(1, 10 + number), (Place(1, 2),), source)


def claim(number: int = 0, **fields: Any) -> Claim:
    values: dict[str, Any] = {
        "claim": number, "path": b"/data%d" % number, "place": Place(1, 10 + number),
        "ancestors": (Place(1, 2),), "monitor": "poll", "serving": True, "why": "",
    }  # fmt: skip
    return Claim(**(values | fields))


def files(version: int, *names: bytes, generation: int = 1, **fields: Any) -> Files:
    values: dict[str, Any] = {
        "claim": 0, "generation": generation, "version": version, "whole": False, "last": False,
        "removed": (), "names": names, "sizes": (1,) * len(names), "mtimes": (2,) * len(names),
        "flags": (0,) * len(names),
    }  # fmt: skip
    return Files(**(values | fields))


def whole(version: int, *names: bytes, last: bool = True, generation: int = 1) -> Files:
    return files(version, *names, whole=True, last=last, generation=generation)


def welcome(**fields: Any) -> Welcome:
    values: dict[str, Any] = {
        "session": 3, "term": 5, "proto": 1, "now_ms": 0, "heartbeat_ms": 1000,
        "lease_ttl_ms": 15_000, "commit_interval_ms": 5000, "window": 4,
        "endpoints": NO_ENDPOINTS, "keep": (), "drop": (),
    }  # fmt: skip
    return Welcome(**(values | fields))


class Scout:
    """A core with a clock that stands until it is moved."""

    def __init__(self, *lists: List, patience: float = 10.0) -> None:
        self.now = 100.0
        folders = [folder(each, number) for number, each in enumerate(lists)]
        self.core = ScoutCore(IDENTITY, folders, patience, self.now)

    def take(self, event: Event) -> list[CommonInstruction]:
        return self.core.handle(event, self.now)

    def hear(self, message: Message) -> list[CommonInstruction]:
        return self.take(FromBroker(message))

    def after(self, seconds: float) -> list[CommonInstruction]:
        """What a tick brings, so much later."""
        self.now += seconds
        return self.take(Tick())

    def heard(self, seconds: float) -> list[CommonInstruction]:
        """The same, with a broker that is heard meanwhile."""
        self.hear(Parked(0))
        return self.after(seconds)

    def stir(self, number: int = 0, **fields: Any) -> list[CommonInstruction]:
        event = Stirred(number, Place(1, 10 + number), (Place(1, 2),), "poll", serving=True, why="")
        return self.take(dataclasses.replace(event, **fields))


def sent(instructions: Iterable[object], kind: type[Kind]) -> list[Kind]:
    """The messages of a kind among instructions."""
    messages = [each.message for each in instructions if isinstance(each, Send)]
    return [message for message in messages if isinstance(message, kind)]


def connected(*lists: List) -> Scout:
    """A scout that is welcome, and has asked for its folders, which are watched."""
    scout = Scout(*lists)
    scout.take(Connected())
    for number in range(len(lists)):
        scout.stir(number)
    scout.hear(welcome())
    return scout


def level(source: List) -> Scout:
    """A scout whose broker has all of its one list, in generation 1."""
    scout = connected(source)
    scout.hear(Claimed(0, 0, 0))
    scout.hear(FilesAck(0, 1, 1))
    scout.hear(Claimed(0, 1, 1))
    return scout
