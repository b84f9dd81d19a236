"""What a tail shows to people, and which times it takes."""

import click
import pytest

from zfs_walk.bus.gaps import Gap
from zfs_walk.cli.tail import LEVELS, Period, gap_text, record_text
from zfs_walk.protocol import messages
from zfs_walk.protocol.messages import LogRecord
from zfs_walk.protocol.statistics import Origin

ORIGIN = Origin("p1", "walker", "h1", "walker-1", 7, 0, "0")


def record(text: str, exception: str = "", fields: tuple[tuple[str, str], ...] = ()) -> LogRecord:
    return LogRecord(
        ORIGIN, 1, 1_700_000_000_123_456_789, "worker 3", 4, "warning", "zfs_walk.worker", text,
        fields, exception,
    )  # fmt: skip


def test_a_record_is_a_line() -> None:
    assert record_text(record("said", fields=(("size", "5"),))) == (
        "2023-11-14T22:13:20.123456Z WARNING  h1 walker-1 worker 3 run 4 zfs_walk.worker: said"
        " size=5"
    )


def test_an_exception_is_below_its_line() -> None:
    text = record_text(record("said", "Traceback\n  File\nValueError"))
    assert text.splitlines()[1:] == ["    Traceback", "      File", "    ValueError"]


def test_a_name_of_a_file_can_not_paint_the_terminal() -> None:
    assert record_text(record("a\x1b[31mb\nc")).endswith(r"a\x1b[31mb\nc")


@pytest.mark.parametrize(
    ("lost", "text"),
    [
        (12, "--- 12 records of walker-1 on h1 lost here (info)"),
        (1, "--- 1 record of walker-1 on h1 lost here (info)"),
        (54_321, "--- 54,321 records of walker-1 on h1 lost here (info)"),
    ],
)
def test_a_gap_says_how_many_records_of_whom(lost: int, text: str) -> None:
    assert gap_text(Gap(ORIGIN, "info", 2, lost)) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90.0), ("90s", 90.0), ("10m", 600.0), ("1.5h", 5400.0), ("2d", 172_800.0)],
)
def test_a_time_has_a_unit(text: str, seconds: float) -> None:
    assert Period().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "m", "10 minutes", "-5", "1e3", "ten"])
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(click.BadParameter, match="they look like 90, 10m"):
        Period().convert(text, None, None)


def test_the_levels_of_the_command_are_those_of_the_stream() -> None:
    assert LEVELS == messages.LEVELS
