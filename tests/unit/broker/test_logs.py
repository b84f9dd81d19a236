"""LOG_SINCE reads the ring back in pages; LOG_LEVEL reaches who is meant."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.broker.making import Broker, hello, only
from zfs_walk.broker.events import SetLogLevel
from zfs_walk.broker.history import History
from zfs_walk.protocol.codec import BUS
from zfs_walk.protocol.messages import (
    CLIENT,
    Command,
    Done,
    Error,
    LogLevel,
    LogPage,
    LogRecord,
    LogSince,
    Welcome,
)
from zfs_walk.protocol.statistics import Origin

ORIGIN = Origin("p1", "walker", "h0", "walker-0", 7, 0, "0")


def record(seq: int, text: str = "said") -> LogRecord:
    return LogRecord(ORIGIN, seq, 1, "", 0, "info", "zfs_walk", text, (), "")


def remember(history: History, *records: LogRecord, at: int = 1) -> None:
    for each in records:
        magic, header = BUS.encode(each)
        history.add_log(magic, header, at)


def size(each: LogRecord) -> int:
    return len(BUS.encode(each)[1])


# ---------------------------------------------------------------------- the ring


def test_the_ring_gives_back_what_came_in_order() -> None:
    history = History()
    remember(history, record(1), record(2), record(3))
    assert history.logs(0, 0, 2) == ((record(1), record(2)), 2, 0, True)
    assert history.logs(0, 2, 2) == ((record(3),), 3, 0, False)
    assert history.logs(0, 3, 2) == ((), 3, 0, False)


def test_the_ring_begins_where_one_asks() -> None:
    history = History()
    remember(history, record(1), at=10)
    remember(history, record(2), record(3), at=20)
    assert history.logs(11, 0, 9) == ((record(2), record(3)), 3, 0, False)
    assert history.logs(21, 0, 9) == ((), 3, 0, False)


def test_the_ring_is_bounded_and_says_what_it_lost() -> None:
    history = History(ring_bytes=3 * size(record(1)))
    remember(history, *map(record, range(1, 6)))
    assert history.counts() == (5, 3, 3 * size(record(1)))
    assert history.logs(0, 1, 9) == (tuple(map(record, (3, 4, 5))), 5, 1, False)
    assert history.logs(0, 0, 9) == (tuple(map(record, (3, 4, 5))), 5, 0, False)


def test_tiny_records_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zfs_walk.broker.history.RING_RECORDS", 3)
    history = History()
    remember(history, *map(record, range(1, 6)))
    assert history.counts() == (5, 3, 3 * size(record(1)))


def test_what_is_no_record_is_left_out_and_counted() -> None:
    history = History()
    remember(history, record(1))
    history.add_log(b"ZW\x01", b"\x81\xa1t\xaaLOG_RECORD", 1)
    history.add_log(b"ZW\x01", b"junk", 1)
    remember(history, record(4))
    assert history.logs(0, 0, 9) == ((record(1), record(4)), 4, 0, False)
    assert history.malformed == 2


# ---------------------------------------------------------------------- LOG_SINCE


def asking(history: History | None = None, **settings: Any) -> Broker:
    broker = Broker(history=history, **settings)
    broker.take(b"client", hello("client", role=CLIENT, capacity=0))
    return broker


def test_a_page_has_at_most_500_records() -> None:
    history = History()
    remember(history, *map(record, range(1, 701)))
    broker = asking(history)
    [(_, page)] = broker.take(b"client", LogSince("r1", 0, 0, 0, 10_000))
    assert page == LogPage("r1", 500, 0, True, tuple(map(record, range(1, 501))))
    [(_, page)] = broker.take(b"client", LogSince("r2", 0, 0, 500, 10_000))
    assert page == LogPage("r2", 700, 0, False, tuple(map(record, range(501, 701))))


def test_a_page_of_long_records_is_short_enough_for_the_wire() -> None:
    history = History()
    long = [record(seq, "\N{SNOWMAN}" * 65_536) for seq in range(1, 151)]
    remember(history, *long)
    broker = asking(history)
    after = 0
    got: list[LogRecord] = []
    while True:
        [page] = only(broker.take(b"client", LogSince("r1", 0, 0, after, 500)), LogPage)
        BUS.encode(page)
        got += page.records
        after = page.next
        if not page.more:
            break
    assert got == long


def test_a_broker_without_a_stream_says_so() -> None:
    [(_, reply)] = asking().take(b"client", LogSince("r1", 0, 0, 0, 1))
    assert reply == Error("no-stream", "nothing is published on this bus", "r1")


# ---------------------------------------------------------------------- LOG_LEVEL


def test_a_level_reaches_every_agent_and_the_broker() -> None:
    broker = asking()
    broker.join("walker-1", capacity=2)
    broker.join("walker-2", host="h2", capacity=3)
    command = Command(0, "set-log-level", level="debug", logger="zfs_walk.worker")
    assert broker.take(b"client", LogLevel("r1", 0, "debug", "", "", "zfs_walk.worker")) == [
        (b"walker-1", command),
        (b"walker-2", command),
        (b"client", Done("r1", "8 processes told: 2 agents with 5 workers, the broker")),
    ]
    assert broker.levels == [SetLogLevel("debug", "zfs_walk.worker")]


def test_a_level_reaches_only_who_is_meant() -> None:
    broker = asking(host="b0")
    broker.join("walker-1", capacity=2)
    broker.join("walker-2", host="h2", capacity=3)
    sent = broker.take(b"client", LogLevel("r1", 0, "error", "walker", "h2", ""))
    assert [to for to, _ in sent] == [b"walker-2", b"client"]
    assert only(sent, Done) == [Done("r1", "4 processes told: 1 agents with 3 workers")]
    assert broker.levels == []
    sent = broker.take(b"client", LogLevel("r2", 0, "error", "broker", "b0", ""))
    assert sent == [
        (b"client", Done("r2", "1 processes told: 0 agents with 0 workers, the broker"))
    ]
    assert broker.levels == [SetLogLevel("error", "")]
    sent = broker.take(b"client", LogLevel("r3", 0, "info", "wlker", "", ""))
    detail = "no process of this role and host is there; roles: broker, walker"
    assert sent == [(b"client", Error("nobody", detail, "r3"))]
    assert broker.levels == [SetLogLevel("error", "")]


def levels_of(broker: Broker, name: str, **fields: Any) -> list[tuple[str, str]]:
    """What an agent is told after WELCOME, and after nothing else: levels and loggers."""
    (_, first), *sent = broker.take(name.encode(), hello(name, **fields))
    assert isinstance(first, Welcome)
    assert sent == [
        (name.encode(), Command(0, "set-log-level", level=each.level, logger=each.logger))
        for _, each in sent
        if isinstance(each, Command)
    ]
    return [(each.level, each.logger) for each in only(sent, Command)]


def test_who_comes_later_is_told_the_levels_that_concern_it() -> None:
    broker = asking()
    broker.join("walker-1")
    broker.join("walker-9", host="h2")
    broker.take(b"client", LogLevel("r1", 0, "debug", "walker", "", ""))
    broker.take(b"client", LogLevel("r2", 0, "error", "", "h2", "zfs_walk.worker"))
    broker.take(b"client", LogLevel("r3", 0, "debug", "nobody", "", ""))
    assert levels_of(broker, "walker-2") == [("debug", "")]
    assert levels_of(broker, "walker-3", host="h2") == [("debug", ""), ("error", "zfs_walk.worker")]
    assert levels_of(broker, "scout-1", role="scout", capacity=0) == []
    assert levels_of(broker, "client-2", role=CLIENT, capacity=0) == []
    # As does who comes back: its process may be a new one's, or have missed the first word.
    assert levels_of(broker, "walker-2", conn=2) == [("debug", "")]
    assert levels_of(broker.restart(), "walker-4") == []


def test_the_last_level_is_the_one_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = asking()
    broker.join("walker-1", host="h1")
    for number, (level, role, host, logger) in enumerate(
        [
            ("debug", "walker", "h1", ""),
            ("error", "walker", "", ""),
            ("info", "", "", "zfs_walk.worker"),
            ("warning", "walker", "h1", ""),
        ]
    ):
        broker.take(b"client", LogLevel(f"r{number}", 0, level, role, host, logger))
    told = [("error", ""), ("info", "zfs_walk.worker"), ("warning", "")]
    assert levels_of(broker, "walker-2", host="h1") == told
    monkeypatch.setattr("zfs_walk.broker.logs.MOST_LEVELS", 2)
    broker.take(b"client", LogLevel("r8", 0, "info", "", "", ""))
    assert levels_of(broker, "walker-3", host="h1") == [("info", "zfs_walk.worker"), ("info", "")]
    broker.take(b"client", LogLevel("r9", 0, "debug", "", "", "x"))
    assert levels_of(broker, "walker-4", host="h1") == [("info", ""), ("debug", "x")]


def test_a_record_of_a_newer_release_is_read_as_far_as_it_is_known() -> None:
    newer = replace(record(1), text="more")
    magic, header = BUS.encode(newer)
    history = History()
    history.add_log(magic, bytes([header[0] + 1]) + header[1:] + b"\xa3new\x01", 1)
    assert history.logs(0, 0, 1)[0] == (newer,)
