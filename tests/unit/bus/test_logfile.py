"""The local log: private, bounded, and never a reason to stop."""

from pathlib import Path

import pytest

from zfs_walk.bus.logfile import LogFile


def test_lines_are_there_when_write_returns(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log" / "walker-1.jsonl")
    file.write("one")
    assert file.path.read_text() == "one\n"
    file.write("tw\N{LATIN SMALL LETTER O WITH DIAERESIS}")
    assert file.path.read_text() == "one\ntwö\n"
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.path.parent.stat().st_mode & 0o777 == 0o700
    file.close()


def test_a_file_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "log" / "a.jsonl"
    for line in ("one", "two"):
        file = LogFile(path)
        file.write(line)
        file.close()
    assert path.read_text() == "one\ntwo\n"


def test_a_file_that_is_large_enough_is_rotated_and_the_oldest_goes(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "a.jsonl", size=10, count=3)
    for number in range(10):
        file.write(f"line{number}")
    file.close()
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == {"a.jsonl": "line9\n", "a.jsonl.1": "line8\n", "a.jsonl.2": "line7\n"}


def test_a_line_is_never_split_and_one_that_is_too_long_has_a_file_of_its_own(
    tmp_path: Path,
) -> None:
    file = LogFile(tmp_path / "a.jsonl", size=10, count=3)
    for line in ("short", "x" * 50, "after"):
        file.write(line)
    file.close()
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == {"a.jsonl": "after\n", "a.jsonl.1": "x" * 50 + "\n", "a.jsonl.2": "short\n"}


def test_one_file_alone_begins_anew(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "a.jsonl", size=10, count=1)
    for number in range(3):
        file.write(f"line{number}")
    file.close()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["line2\n"]


def test_a_full_disk_is_complained_of_once_and_counted(capfd: pytest.CaptureFixture[str]) -> None:
    file = LogFile(Path("/dev/full"))
    for _ in range(3):
        file.write("line")
    file.close()
    assert file.lost == 3
    said = "the log /dev/full can't be written: No space left on device; going on without it\n"
    assert capfd.readouterr().err == said


def test_a_folder_that_can_not_be_made_is_no_reason_to_stop(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file")
    file = LogFile(tmp_path / "log" / "a.jsonl")
    file.write("line")
    assert file.lost == 1


def test_a_log_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").symlink_to(tmp_path / "elsewhere")
    file = LogFile(tmp_path / "a.jsonl")
    file.write("line")
    assert (file.lost, (tmp_path / "elsewhere").exists()) == (1, False)
