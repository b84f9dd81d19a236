"""What a program logs, as the file and the bus get it."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from zfs_walk.bus.logfile import LogFile
from zfs_walk.bus.loghandler import LogHandler
from zfs_walk.bus.logrecord import level_name, set_level
from zfs_walk.bus.publisher import Publisher
from zfs_walk.bus.sockets import Bus
from zfs_walk.protocol.statistics import Origin

ORIGIN = Origin("p1", "walker", "h1", "walker-1", 7, 5, "0")


class Log:
    """A logger of the test's own with the handler under test, and what is in its file."""

    def __init__(self, folder: Path, bus: Bus) -> None:
        self.path = folder / "walker-1.jsonl"
        self.handler = LogHandler(Publisher(bus, "", ORIGIN), LogFile(self.path))
        self.logger = logging.getLogger("zfs_walk.test")
        self.logger.setLevel(logging.DEBUG)
        self.logger.addHandler(self.handler)

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    bus = Bus()
    made = Log(tmp_path, bus)
    yield made
    made.logger.removeHandler(made.handler)
    made.handler.close()
    bus.close()


def test_a_record_has_everything_that_was_said(log: Log) -> None:
    log.logger.warning("read %d of %s", 3, "d", extra={"run": 4, "path": b"x", "n": 1})
    [line] = log.lines()
    assert isinstance(line["time_ns"], int)
    assert str(line["time"]).endswith("Z")
    assert {name: value for name, value in line.items() if name not in {"time", "time_ns"}} == {
        "schema": 1, "kind": "record", "level": "warning", "role": "walker", "host": "h1",
        "name": "walker-1", "pid": 7, "session": 5, "publisher": "p1", "process": "", "run": 4,
        "logger": "zfs_walk.test", "seq": 1, "message": "read 3 of d",
        "fields": {"path": "b'x'", "n": "1"}, "exception": None,
    }  # fmt: skip


def test_an_exception_comes_with_its_traceback(log: Log) -> None:
    try:
        int("x")
    except ValueError:
        log.logger.exception("failed")
    [line] = log.lines()
    assert str(line["exception"]).startswith("Traceback (most recent call last):")
    assert str(line["exception"]).endswith("invalid literal for int() with base 10: 'x'")


def test_numbers_count_by_level(log: Log) -> None:
    log.logger.info("a")
    log.logger.error("b")
    log.logger.info("c")
    assert [(line["level"], line["seq"]) for line in log.lines()] == [
        ("info", 1), ("error", 1), ("info", 2),
    ]  # fmt: skip


def test_what_a_worker_could_not_hand_over_is_a_gap(log: Log) -> None:
    log.logger.debug("a")
    log.handler.skip("debug", 12)
    log.logger.debug("b")
    first, gap, last = log.lines()
    assert (first["seq"], last["seq"]) == (1, 14)
    assert (gap["kind"], gap["level"], gap["seq"], gap["lost"]) == ("gap", "debug", 2, 12)
    assert log.handler.publisher.lost == 12


def test_what_can_not_be_formatted_or_written_down_is_logged_all_the_same(log: Log) -> None:
    # Not through the logger: pytest's own handler refuses it.
    odd = {"name": "zfs_walk.test", "msg": "%d of", "args": ("x",), "levelno": 20}
    log.handler.handle(logging.makeLogRecord(odd))
    log.logger.info("name %s", "a\udcff", extra={"field": "\udcff"})
    first, second = log.lines()
    assert "could not be formatted" in str(first["message"])
    assert second["message"] == "name a\N{REPLACEMENT CHARACTER}"
    assert second["fields"] == {"field": "\N{REPLACEMENT CHARACTER}"}


def test_long_texts_are_cut_to_what_a_record_takes(log: Log) -> None:
    log.logger.info("x" * 100_000, extra={"long": "y" * 10_000})
    [line] = log.lines()
    assert line["message"] == "x" * 65_536
    assert line["fields"] == {"long": "y" * 4_096}


@pytest.mark.parametrize(
    ("number", "name"),
    [(1, "debug"), (10, "debug"), (19, "debug"), (20, "info"), (30, "warning"), (40, "error"),
     (50, "critical"), (99, "critical")],
)  # fmt: skip
def test_each_number_has_a_level(number: int, name: str) -> None:
    assert level_name(number) == name


def test_a_level_is_set_for_a_logger_or_for_all_of_ours() -> None:
    ours, below = logging.getLogger("zfs_walk"), logging.getLogger("zfs_walk.test.below")
    before = ours.level, below.level
    try:
        set_level("error", "")
        set_level("debug", "zfs_walk.test.below")
        assert (ours.level, below.level) == (logging.ERROR, logging.DEBUG)
    finally:
        ours.setLevel(before[0])
        below.setLevel(before[1])
