"""OpenSSH's client carries SFTP, if paramiko vouches and it can; else paramiko does."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.process.place import wait_for
from tests.servers.proxy import proxied
from tests.servers.ssh import (
    Server,
    Sinks,
    agent_with,
    free_port,
    make_key,
    needs_sshd,
    refused,
    room,
    run,
)
from zfs_walk.sinks.conformance.place import Notes, Origin, freely
from zfs_walk.sinks.errors import UnreachableSinkError

needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="needs ssh")
pytestmark = [pytest.mark.slow, pytest.mark.big, needs_sshd, needs_ssh]

MIB = 1 << 20


def clients(of: int | None = None) -> list[psutil.Process]:
    """The processes of OpenSSH's client that a process, or this one, has started."""
    found = psutil.Process(of).children()
    return [process for process in found if process.name() == "ssh"]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Has a script run instead of OpenSSH's client; it adds a line to a file, which is returned."""

    def fake(script: str) -> Path:
        program, runs = tmp_path / "ssh", tmp_path / "runs"
        program.write_text(f"#!/bin/sh\necho run >> {runs}\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return runs

    return fake


def test_each_fork_has_a_client_of_its_own_that_ends_with_it(sshd: Server, sftp_to: Sinks) -> None:
    sink = sftp_to(sshd, room(sshd))
    forks = [sink.fork() for _ in range(3)]
    for fork in forks:
        fork.check()
    started = clients()
    assert len(started) == len(forks)
    assert all(os.getsid(process.pid) == process.pid for process in started), "Ctrl-C is not theirs"
    for fork in forks:
        fork.close()
    assert clients() == []
    assert not any(process.is_running() for process in started)


def test_what_was_dialed_is_what_the_first_use_takes(sshd: Server, sftp_to: Sinks) -> None:
    sink = sftp_to(sshd, room(sshd))
    sink.dial()
    [dialed] = clients()
    fork = sink.fork()
    fork.check()
    assert clients() == [dialed]
    fork.close()


def test_what_was_dialed_and_is_not_used_is_hung_up(sshd: Server, sftp_to: Sinks) -> None:
    sink = sftp_to(sshd, room(sshd))
    sink.dial()
    [dialed] = clients()
    sink.close()
    assert not dialed.is_running()
    sink.check()


def test_what_was_dialed_in_vain_is_told_by_the_first_use(sshd: Server, sftp_to: Sinks) -> None:
    sink = sftp_to(sshd, room(sshd), free_port())
    sink.dial()
    with pytest.raises(UnreachableSinkError, match="refused"):
        sink.check()


def test_what_was_dialed_long_ago_is_dialed_anew(
    sshd: Server, sftp_to: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = sftp_to(sshd, room(sshd))
    sink.dial()
    [dialed] = clients()
    dialed.kill()
    monkeypatch.setattr("zfs_walk.sinks.sftp_connect._OLD", 0.0)
    sink.check()
    assert [process.is_running() for process in clients()] == [True]


def test_a_key_of_the_agent_is_used_by_it_too(sshd: Server, sftp_to: Sinks) -> None:
    with agent_with(sshd.key, sshd.folder / "agent-of-it"):
        sftp_to(sshd, room(sshd), key_file=[], transport="openssh").check()


@pytest.mark.parametrize("script", ["echo not today >&2; exit 255", "echo no SFTP at all"])
def test_if_it_does_not_get_there_paramiko_does(
    sshd: Server, origin: Origin, sftp_to: Sinks, fake: Callable[[str], Path], script: str
) -> None:
    target, runs = room(sshd), fake(script)
    sink = sftp_to(sshd, target)
    for number in range(3):
        fork = sink.fork()
        fork.send(origin.made(b"f%d" % number, b"content"), b"f%d" % number, Notes(), freely)
        fork.close()
    assert len(list(target.iterdir())) == 3
    assert runs.read_text() == "run\nrun\n", "once alone, once with what paramiko vouches for"


def test_if_it_must_be_used_it_says_why_it_can_not(
    sshd: Server, tmp_path: Path, sftp_to: Sinks, fake: Callable[[str], Path]
) -> None:
    locked = tmp_path / "key"
    shutil.copy(sshd.key, locked)
    run("ssh-keygen", "-q", "-p", "-P", "", "-N", "the secret", "-f", locked)
    (tmp_path / "password").write_text("the secret\n")
    password = {"key_file": [str(locked)], "password_file": str(tmp_path / "password")}
    needed = sftp_to(sshd, room(sshd), transport="openssh", **password)
    assert "a key without a password" in refused(needed)
    sftp_to(sshd, room(sshd), **password).check()
    fake("echo not today >&2; exit 255")
    with pytest.raises(UnreachableSinkError, match="by ssh: the connection was lost: not today"):
        sftp_to(sshd, room(sshd), transport="openssh").check()


def test_a_key_that_was_replaced_meanwhile_is_refused_as_ever(
    sshd: Server, tmp_path: Path, sftp_to: Sinks
) -> None:
    known = tmp_path / "known_hosts"
    shutil.copy(sshd.known_hosts, known)
    sink = sftp_to(sshd, room(sshd), known_hosts=[str(known)], transport="openssh")
    sink.check()
    other = make_key(tmp_path / "other").with_suffix(".pub")
    known.write_text(f"[127.0.0.1]:{sshd.port} {other.read_text()}")
    assert "not the one that is known" in refused(sink.fork())


def test_none_is_left_when_its_uploader_is_killed(
    sshd: Server, tmp_path: Path, origin: Origin
) -> None:
    target = room(sshd)
    origin.write(b"large", os.urandom(64 * MIB))
    with proxied(sshd.port) as proxy:
        words = [
            sys.executable, str(Path(__file__).with_name("sender.py")),
            sshd.url(f"/{target.name}", proxy.port), json.dumps(sshd.options(proxy.port)),
            os.fsdecode(origin.folder), "large", str(tmp_path / "notes"),
        ]  # fmt: skip
        sender = subprocess.Popen(words)
        wait_for("it sends", lambda: proxy.sent > 8 * MIB or sender.poll() is not None)
        [client] = clients(sender.pid)
        sender.send_signal(signal.SIGKILL)
        sender.wait()
        wait_for("its client has ended", lambda: not client.is_running())
