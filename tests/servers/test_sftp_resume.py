"""A large file is gone on with by SFTP, whoever was killed and whatever broke."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.process.place import wait_for
from tests.servers.proxy import proxied
from tests.servers.ssh import (
    Server,
    Sinks,
    below,
    needs_sshd,
    room,
    sha256,
)
from zfs_walk import faults
from zfs_walk.sinks.conformance.place import Notes, Origin, freely, stop_after
from zfs_walk.sinks.errors import (
    StoppedError,
    UnreachableSinkError,
)

pytestmark = [pytest.mark.slow, pytest.mark.big, needs_sshd]

MIB = 1 << 20
GIB = 1 << 30
OLD = hashlib.sha256(b"old").hexdigest()


def sender(
    server: Server,
    target: Path,
    origin: Origin,
    notes: Path,
    *,
    port: int | None = None,
    point: str = "",
) -> "subprocess.Popen[bytes]":
    """A process that sends the file `large`, and is killed at a point."""
    words = [
        sys.executable, str(Path(__file__).with_name("sender.py")),
        server.url(f"/{target.name}", port), json.dumps(server.options(port)),
        os.fsdecode(origin.folder), "large", str(notes),
    ]  # fmt: skip
    return subprocess.Popen(words, env=os.environ | {faults.VARIABLE: point})


def fill(path: Path, size: int) -> None:
    """Random bytes."""
    with path.open("wb") as file:
        for _ in range(size // (16 * MIB)):
            file.write(os.urandom(16 * MIB))


def opened(server: Server, path: Path) -> bool:
    """Whether a process of the server has a file open."""
    found = False
    for process in server.processes():
        with contextlib.suppress(psutil.Error):
            found |= any(file.path == str(path) for file in process.open_files())
    return found


def test_a_gibibyte_goes_on_from_where_its_sender_was_killed(
    sshd: Server, tmp_path: Path, origin: Origin
) -> None:
    target, notes = room(sshd), tmp_path / "notes"
    file = Path(os.fsdecode(origin.folder)) / "large"
    fill(file, GIB)
    killed = sender(sshd, target, origin, notes, point="sftp.synced:8")
    assert killed.wait(180) == -signal.SIGKILL
    [part] = target.iterdir()
    wait_for("the server has let go of it", lambda: not opened(sshd, part))
    there = part.stat().st_size
    assert GIB // 2 <= there < GIB, "the kill came in the middle"
    with proxied(sshd.port) as proxy:
        assert sender(sshd, target, origin, notes, port=proxy.port).wait(180) == 0
    assert proxy.sent < (GIB - there) * 1.01 + MIB, "nothing is sent again"
    assert proxy.received < 66 * MIB, "no more is read back than what the last fsync did not cover"
    assert below(target) == ["large"]
    assert sha256(target / "large") == sha256(file)


@pytest.mark.parametrize("point", ["sftp.begun", "sftp.synced", "sftp.sent", "sftp.renamed"])
def test_a_kill_at_any_point_leaves_the_old_file_or_the_new_one(
    sshd: Server, tmp_path: Path, origin: Origin, point: str
) -> None:
    target, notes = room(sshd), tmp_path / "notes"
    (target / "large").write_bytes(b"old")
    file = Path(os.fsdecode(origin.folder)) / "large"
    fill(file, 80 * MIB)
    assert sender(sshd, target, origin, notes, point=point).wait(120) == -signal.SIGKILL
    new = point == "sftp.renamed"
    assert sha256(target / "large") == (sha256(file) if new else OLD)
    assert len(below(target)) == (1 if new else 2)
    assert sender(sshd, target, origin, notes).wait(120) == 0
    assert sha256(target / "large") == sha256(file)
    assert below(target) == ["large"]


def test_a_file_that_changed_since_the_kill_is_sent_from_the_start(
    sshd: Server, tmp_path: Path, origin: Origin, sftp_to: Sinks
) -> None:
    target, notes = room(sshd), tmp_path / "notes"
    origin.write(b"large", os.urandom(80 * MIB))
    killed = sender(sshd, target, origin, notes, point="sftp.synced")
    assert killed.wait(120) == -signal.SIGKILL
    data = os.urandom(32 * MIB)
    origin.write(b"large", data)
    sink = sftp_to(sshd, target)
    stale = Notes()
    stale.values = dict(json.loads(line) for line in notes.read_text().splitlines())
    sink.abandon(b"large", stale)
    assert below(target) == []
    sent: list[int] = []
    sink.send(origin.open(b"large"), b"large", Notes(), sent.append)
    assert sum(sent) == len(data)
    assert (target / "large").read_bytes() == data


def test_what_differs_there_is_sent_again(sshd: Server, origin: Origin, sftp_to: Sinks) -> None:
    target = room(sshd)
    sink = sftp_to(sshd, target)
    data = os.urandom(40 * MIB)
    source, memory = origin.made(b"large", data), Notes()
    with pytest.raises(StoppedError):
        sink.send(source, b"large", memory, stop_after(30 * MIB))
    [part] = target.iterdir()
    with part.open("r+b") as file:  # a server that lost its power: zeros where data should be
        file.seek(10 * MIB)
        file.write(bytes(4096))
    sent: list[int] = []
    sink.send(source, b"large", memory, sent.append)
    assert 29 * MIB < sum(sent) <= 30 * MIB + max(sent)
    assert (target / "large").read_bytes() == data


@pytest.mark.parametrize("transport", ["openssh", "paramiko"])
def test_a_line_that_is_cut_is_told_and_the_file_gone_on_with(
    sshd: Server, origin: Origin, sftp_to: Sinks, transport: str
) -> None:
    target = room(sshd)
    data = os.urandom(48 * MIB)
    source, memory = origin.made(b"large", data), Notes()
    with proxied(sshd.port) as proxy:
        sink = sftp_to(sshd, target, proxy.port, transport=transport)
        sink.check()
        proxy.cut_after(30 * MIB)
        with pytest.raises(UnreachableSinkError, match=r"connection was lost|reset"):
            sink.send(source, b"large", memory, freely)
        assert proxy.cuts == 1
        [part] = target.iterdir()
        wait_for("the server has noticed", lambda: not opened(sshd, part))
        sent: list[int] = []
        sink.send(source, b"large", memory, sent.append)
        sink.close()
    assert sum(sent) < 30 * MIB
    assert below(target) == ["large"]
    assert (target / "large").read_bytes() == data
