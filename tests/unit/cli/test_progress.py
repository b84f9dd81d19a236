"""The line that shows how a walk stands."""

import os
import pty
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from zfs_walk.cli.progress import Progress, RateMeter, inodes_in_use
from zfs_walk.protocol.messages import RunStatus
from zfs_walk.protocol.records import LiveCount, RootRecord, WalkOptions

ERASED = "\x1b[2K"
"""What erases a line of a terminal (ECMA-48)."""


def status(entries: int, *, state: str = "RUNNING", waiting: str = "") -> RunStatus:
    options = WalkOptions(
        names_only=False, one_file_system=False, max_depth=-1, part_limit=50_000, excludes=(),
        includes=(), default_excludes=True, catalog=b"", token="",
    )  # fmt: skip
    root = RootRecord(b"/no/such", "here", "ext4", 2, network=False)
    return RunStatus(
        "", 1, state, "", waiting, (root,), options, {"entries": entries - 5, "errors": 1},
        LiveCount(1, 5, 1, 9), (), (), 3, 1, 2, 61_000,
    )  # fmt: skip


def test_a_rate_is_smooth_and_never_negative() -> None:
    meter = RateMeter()
    assert meter.add(0, 10.0) == 0
    assert meter.add(100, 10.5) == 200
    assert meter.add(300, 11.6) == pytest.approx(0.8 * 200 + 0.2 * 200 / 1.1)
    assert meter.add(0, 100.0) >= 0


def test_without_a_terminal_there_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr("zfs_walk.cli.progress.time.monotonic", lambda: clock[0])
    with Progress(quiet=False) as progress:
        for _ in range(60):
            clock[0] += 0.5
            progress.show(status(1_000))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("zfs-walk: 1,000 entries | ")
    assert "9 directories waiting | 1 of 2 agents | 2 errors | 0:01:01" in lines[0]


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(quiet=True) as progress:
        progress._next_line = 0.0
        progress.show(status(1_000))
    assert capsys.readouterr().err == ""


def test_what_a_run_waits_for_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Progress(quiet=False) as progress:
        progress._next_line = 0.0
        progress.show(status(1_000, waiting="1 of 2 agents are there"))
        progress._next_line = 0.0
        progress.show(status(1_000, state="DRAINING"))
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("| 1 of 2 agents are there")
    assert second.endswith("| draining")


def test_on_a_terminal_one_line_is_rewritten_and_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    master, slave = pty.openpty()
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with Progress(quiet=False) as progress:
            progress.show(status(1_000))
            progress.show(status(2_000))
        os.write(slave, b"END")
        written = ""
        while not written.endswith("END"):
            written += os.read(master, 10_000).decode()
    os.close(master)
    first, *rewritten, last = written.split(ERASED)
    assert "1,000 entries" in first
    assert any(piece.startswith("2,000 entries") for piece in rewritten)
    assert "entries" not in last
    assert max(len(piece.rstrip("\r")) for piece in rewritten if "\x1b" not in piece) <= 40


def test_a_terminal_that_went_away_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with Progress(quiet=False) as progress:
            os.close(master)
            progress.show(status(1_000))
        monkeypatch.undo()
        with suppress(OSError):
            terminal.close()


def test_inodes_are_an_estimate_for_whole_file_systems_only(tmp_path: Path) -> None:
    assert inodes_in_use([os.fsencode(tmp_path)]) == 0
    assert inodes_in_use([b"/no/such"]) == 0
    whole = inodes_in_use([b"/dev/shm"])
    found = os.statvfs("/dev/shm")
    assert whole in {0, found.f_files - found.f_ffree} or whole > 0
