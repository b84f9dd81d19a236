"""What a walk says while it goes on, and when nobody listens any more."""

import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.process import oracle
from tests.process.place import Place


@pytest.mark.slow
def test_a_terminal_shows_one_line_that_goes_away(
    place: Place, tree: Path, slow: dict[str, str]
) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        place.command("walk", "--json", tree), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=slave, env=place.env | slow | {"COLUMNS": "120", "TERM": "xterm"}, text=True,
    )  # fmt: skip
    place.started.append(process)
    os.close(slave)
    seen = b""
    while True:
        try:
            piece = os.read(master, 65_536)
        except OSError:  # what Linux says at the end of a terminal
            break
        if not piece:
            break
        seen += piece
    os.close(master)
    ended = place.end(process)
    assert ended.code == 0
    lines = seen.decode().split("\x1b[2K")
    assert len(lines) > 4
    assert all("entries | " in line and "agents" in line for line in lines[:-2])
    assert "entries" not in lines[-1]
    oracle.same_totals(ended.json, oracle.totals(tree))


def test_a_closed_output_is_no_trouble(place: Place, tree: Path) -> None:
    reading, writing = os.pipe()
    process = subprocess.Popen(
        place.command("walk", "-q", tree), stdin=subprocess.DEVNULL, stdout=writing,
        stderr=subprocess.PIPE, env=place.env, text=True,
    )  # fmt: skip
    place.started.append(process)
    os.close(reading)
    os.close(writing)
    ended = place.end(process)
    assert (ended.code, ended.err) == (141, "")
    place.no_private_state()


def test_a_full_output_is_said(place: Place, tree: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen(
            place.command("walk", "-q", tree), stdin=subprocess.DEVNULL, stdout=full,
            stderr=subprocess.PIPE, env=place.env, text=True,
        )  # fmt: skip
        place.started.append(process)
        ended = place.end(process)
    assert ended.code == 3
    assert "No space left on device" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("command", ["walk", "broker", "agent", "ctl", "catalog"])
def test_every_command_has_help_and_a_version(place: Place, command: str) -> None:
    ended = place.run(command, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert "Usage:" in ended.out
    if command != "ctl":
        assert place.run(command, "--version").code == 0
