"""The SFTP sink against real servers that die, fill up, refuse, or are not who they should be."""

import contextlib
import getpass
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.process.place import wait_for
from tests.servers.proxy import proxied
from tests.servers.ssh import (  # noqa: F401 -- a fixture
    Server,
    free_port,
    make_key,
    needs_rclone,
    needs_sshd,
    rclone,
    room,
    serving,
    sshd,
)
from zfs_walk.sinks.conformance.place import MTIME, Notes, Origin, freely, once, stop_after
from zfs_walk.sinks.errors import (
    CorruptedError,
    FileRefusedError,
    FullSinkError,
    SinkError,
    SinkRefusedError,
    StoppedError,
    TransientError,
    UnreachableSinkError,
)
from zfs_walk.sinks.sftp import SftpSink

pytestmark = [pytest.mark.slow, pytest.mark.big, needs_sshd]

MIB = 1 << 20
GIB = 1 << 30

Sinks = Callable[..., SftpSink]


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[Origin]:
    folder = tmp_path / "origin"
    folder.mkdir()
    made = Origin(folder)
    yield made
    made.close()


@pytest.fixture
def open_sink() -> Iterator[Sinks]:
    """Sinks that are closed at the end."""
    with contextlib.ExitStack() as stack:

        def open_sink(
            server: Server, folder: Path, port: int | None = None, **options: object
        ) -> SftpSink:
            below = str(folder).removeprefix(str(server.served))
            given = server.options(port) | options
            sink = SftpSink(server.url(below, port), SftpSink.Options(**given))
            stack.callback(sink.close)
            return sink

        yield open_sink


def below(folder: Path) -> list[str]:
    """What is in a folder, by its name."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def digest(path: Path) -> str:
    """By another program than ours."""
    ended = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True)
    return ended.stdout.split()[0]


# ------------------------------------------------------------------ going on after a kill

SENDER = """
import json, os, sys
from pathlib import Path
from zfs_walk.sinks.sftp import SftpSink
from zfs_walk.sinks.source import Source

url, options, folder, name, kept, progress = sys.argv[1:]

class Memory:
    def load(self):
        return json.loads(Path(kept).read_text()) if Path(kept).exists() else {}
    def store(self, key, value):
        Path(kept + ".new").write_text(json.dumps(self.load() | {key: value}))
        os.replace(kept + ".new", kept)

sent = 0
log = open(progress, "w")
def report(size):
    global sent
    sent += size
    log.seek(0)
    log.write(f"{sent}\\n")
    log.flush()

sink = SftpSink(url, SftpSink.Options(**json.loads(options)))
source = Source(os.open(folder, os.O_RDONLY), os.fsencode(name))
sink.send(source, os.fsencode(name), Memory(), report)
"""


class Sender:
    """A process that sends a file."""

    def __init__(self, server: Server, target: Path, origin: Path, scratch: Path) -> None:
        self.progress = scratch / "progress"
        self.kept = scratch / "memory"
        self._words = [
            sys.executable, "-c", SENDER, server.url(f"/{target.name}"),
            json.dumps(server.options()), str(origin), "large", str(self.kept), str(self.progress),
        ]  # fmt: skip

    @property
    def sent(self) -> int:
        """Bytes that it has reported."""
        text = self.progress.read_text() if self.progress.exists() else ""
        return int(text) if text.endswith("\n") else 0

    def start(self) -> "subprocess.Popen[bytes]":
        self.progress.unlink(missing_ok=True)
        return subprocess.Popen(self._words)

    def kill_at(self, count: int) -> None:
        """Send, and be killed when so many bytes have gone."""
        process = self.start()
        wait_for(f"{count} bytes are sent", lambda: self.sent >= count, 120)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL


def test_a_gibibyte_goes_on_from_where_its_sender_was_killed(
    sshd: Server, tmp_path: Path, origin: Origin
) -> None:
    target = room(sshd)
    folder = Path(os.fsdecode(origin.folder))
    with (folder / "large").open("wb") as file:
        for _ in range(GIB // (16 * MIB)):
            file.write(os.urandom(16 * MIB))
    sender = Sender(sshd, target, folder, tmp_path)
    sender.kill_at(GIB // 2)
    [part] = target.iterdir()
    wait_for("the server has let go of it", lambda: not opened(sshd, part))
    there = part.stat().st_size
    assert there > GIB // 4, "the kill came in the middle"
    assert not (target / "large").exists()
    process = sender.start()
    assert process.wait(180) == 0
    assert sender.sent == GIB - there, "nothing is sent again"
    assert below(target) == ["large"]
    assert digest(target / "large") == digest(folder / "large")


def opened(server: Server, path: Path) -> bool:
    """Whether a process of the server has a file open."""
    found = False
    for process in server.processes():
        with contextlib.suppress(psutil.Error):
            found |= any(file.path == str(path) for file in process.open_files())
    return found


def test_what_differs_there_is_sent_again(sshd: Server, origin: Origin, open_sink: Sinks) -> None:
    target = room(sshd)
    sink = open_sink(sshd, target)
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


def test_a_file_that_changed_since_the_kill_is_sent_from_the_start(
    sshd: Server, tmp_path: Path, origin: Origin, open_sink: Sinks
) -> None:
    target = room(sshd)
    folder = Path(os.fsdecode(origin.folder))
    origin.write(b"large", os.urandom(256 * MIB))
    sender = Sender(sshd, target, folder, tmp_path)
    sender.kill_at(64 * MIB)
    data = os.urandom(32 * MIB)
    origin.write(b"large", data)
    sink = open_sink(sshd, target)
    stale = Notes()
    stale.values = json.loads(sender.kept.read_text())
    sink.abandon(b"large", stale)
    assert below(target) == []
    sent: list[int] = []
    sink.send(origin.open(b"large"), b"large", Notes(), sent.append)
    assert sum(sent) == len(data)
    assert (target / "large").read_bytes() == data


# ------------------------------------------------------------------ who is believed, who is let in


def refused(sink: SftpSink) -> str:
    """What a check says."""
    with pytest.raises(SinkRefusedError) as caught:
        sink.check()
    return str(caught.value)


def test_a_host_key_that_is_unknown_is_refused_and_shown(
    sshd: Server, tmp_path: Path, open_sink: Sinks
) -> None:
    sink = open_sink(sshd, room(sshd), known_hosts=[str(tmp_path / "none")])
    shown = fingerprint(sshd.folder / "host-key.pub")
    assert f"{shown} (ssh-ed25519) is unknown" in refused(sink)
    open_sink(sshd, room(sshd), known_hosts=[], fingerprint=[shown]).check()


def fingerprint(key: Path) -> str:
    """As OpenSSH shows it."""
    words = ["ssh-keygen", "-l", "-f", str(key)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[1]


def test_a_host_key_that_is_another_one_is_refused(
    sshd: Server, tmp_path: Path, open_sink: Sinks
) -> None:
    other = make_key(tmp_path / "other").with_suffix(".pub")
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{sshd.port} {other.read_text()}")
    assert "not the one that is known" in refused(open_sink(sshd, room(sshd), known_hosts=[known]))
    pinned = open_sink(sshd, room(sshd), fingerprint=[fingerprint(other)])
    assert "not the one that is known" in refused(pinned)


def test_a_host_key_can_be_hashed_in_known_hosts_and_can_be_revoked(
    sshd: Server, tmp_path: Path, open_sink: Sinks
) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(sshd.known_hosts.read_text())
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", known], check=True, capture_output=True)
    assert known.read_text().startswith("|1|")
    open_sink(sshd, room(sshd), known_hosts=[str(known)]).check()
    known.write_text(f"@revoked {sshd.known_hosts.read_text()}")
    assert "is revoked" in refused(open_sink(sshd, room(sshd), known_hosts=[str(known)]))


def test_a_key_that_is_not_let_in_is_told(sshd: Server, tmp_path: Path, open_sink: Sinks) -> None:
    other = make_key(tmp_path / "other")
    sink = open_sink(sshd, room(sshd), key_file=[str(other)])
    assert f"{getpass.getuser()} is not let in with the key {other}" in refused(sink)
    missing = open_sink(sshd, room(sshd), key_file=[str(tmp_path / "none")])
    assert "No such file" in refused(missing)


def test_an_encrypted_key_takes_its_password_from_a_file_or_the_environment(
    sshd: Server, tmp_path: Path, open_sink: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key"
    shutil.copy(sshd.key, key)
    words = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "the secret", "-f", str(key)]
    subprocess.run(words, check=True, capture_output=True)
    assert "is encrypted" in refused(open_sink(sshd, room(sshd), key_file=[str(key)]))
    (tmp_path / "password").write_text("the secret\n")
    in_file = {"key_file": [str(key)], "password_file": str(tmp_path / "password")}
    open_sink(sshd, room(sshd), **in_file).check()
    monkeypatch.setenv("THE_PASSWORD", "the secret")
    open_sink(sshd, room(sshd), key_file=[str(key)], password_env="THE_PASSWORD").check()
    monkeypatch.setenv("THE_PASSWORD", "another secret")
    said = refused(open_sink(sshd, room(sshd), key_file=[str(key)], password_env="THE_PASSWORD"))
    assert "secret" not in said


def test_a_key_of_the_agent_lets_in(
    sshd: Server, open_sink: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = sshd.folder / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        wait_for("the agent listens", socket.exists)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        subprocess.run(["ssh-add", "-q", str(sshd.key)], check=True)
        sink = open_sink(sshd, room(sshd), key_file=[])
        sink.check()
        sink.close()
    finally:
        agent.terminate()
        agent.wait()


# ------------------------------------------------------------------ a place that takes nothing


def test_a_server_that_can_only_be_read_refuses(origin: Origin, open_sink: Sinks) -> None:
    with serving("sshd", subsystem="internal-sftp -R") as server:
        target = room(server)
        sink = open_sink(server, target)
        assert "no file can be made there" in refused(sink)
        with pytest.raises(SinkRefusedError, match="no file can be made there"):
            sink.send(origin.made(b"file", b"content"), b"d/file", Notes(), freely)
        assert below(target) == []


def test_a_folder_that_is_not_there_is_not_made(
    sshd: Server, origin: Origin, open_sink: Sinks
) -> None:
    folder = room(sshd) / "unmounted"
    sink = open_sink(sshd, folder)
    assert "it is no folder that is there" in refused(sink)
    with pytest.raises(SinkError):
        sink.send(origin.made(b"file", b"content"), b"d/file", Notes(), freely)
    assert not folder.exists()


@pytest.mark.root
def test_a_full_disk_says_so_and_sending_goes_on_when_there_is_room(
    sshd: Server, origin: Origin, open_sink: Sinks
) -> None:
    target = room(sshd)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", target], check=True)
    try:
        sink = open_sink(sshd, target)
        sink.check()
        large = origin.made(b"large", os.urandom(20 * MIB))
        with pytest.raises(FullSinkError, match="are free"):
            sink.send(large, b"large", Notes(), freely)
        assert below(target) == [], "what can't be finished takes no room from others"
        filler = target / "filler"
        with filler.open("wb") as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
                file.flush()
        with pytest.raises(FullSinkError):
            sink.check()
        with pytest.raises(FullSinkError):
            sink.send(origin.made(b"file", b"content"), b"file", Notes(), freely)
        filler.unlink()
        sink.check()
        sink.send(origin.open(b"file"), b"file", Notes(), freely)
        assert below(target) == ["file"]
        sink.close()
    finally:
        subprocess.run(["umount", "--lazy", target], check=True)


# ------------------------------------------------------------------ servers and lines that break


def test_a_server_that_is_not_there_is_told_and_found_again(
    origin: Origin, open_sink: Sinks
) -> None:
    with serving("sshd") as server:
        target = room(server)
        sink = open_sink(server, target)
        sink.send(origin.made(b"file", b"content"), b"file", Notes(), freely)
        server.stop()
        with pytest.raises(UnreachableSinkError):
            sink.send(origin.open(b"file"), b"again", Notes(), freely)
        with pytest.raises(UnreachableSinkError, match="Connection refused"):
            sink.check()
        server.start()
        sink.check()
        sink.send(origin.open(b"file"), b"again", Notes(), freely)
        assert below(target) == ["again", "file"]


def test_what_is_no_ssh_server_is_told(sshd: Server, open_sink: Sinks) -> None:
    port = free_port()
    sink = open_sink(sshd, sshd.served, port)
    with pytest.raises(UnreachableSinkError, match="Connection refused"):
        sink.check()


def test_a_line_that_is_cut_is_told_and_the_file_gone_on_with(
    sshd: Server, origin: Origin, open_sink: Sinks
) -> None:
    target = room(sshd)
    data = os.urandom(48 * MIB)
    source, memory = origin.made(b"large", data), Notes()
    with proxied(sshd.port) as proxy:
        sink = open_sink(sshd, target, proxy.port)
        proxy.cut_after(30 * MIB)
        with pytest.raises(UnreachableSinkError, match="connection was lost|reset"):
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


def test_a_bit_that_is_flipped_on_the_way_is_noticed_and_the_file_sent_again(
    sshd: Server, origin: Origin, open_sink: Sinks
) -> None:
    target = room(sshd)
    data = os.urandom(20 * MIB)
    source, memory = origin.made(b"large", data), Notes()
    with proxied(sshd.port) as proxy:
        sink = open_sink(sshd, target, proxy.port)
        sink.check()
        proxy.flip_after(8 * MIB)
        with pytest.raises((UnreachableSinkError, CorruptedError)):
            sink.send(source, b"large", memory, freely)
        assert proxy.spoiled == 1
        assert not (target / "large").exists()
        sink.send(source, b"large", memory, freely)
        sink.close()
    assert (target / "large").read_bytes() == data


def test_a_server_that_falls_silent_is_given_up(origin: Origin, open_sink: Sinks) -> None:
    with serving("sshd") as server:
        sink = open_sink(server, room(server), timeout=2)
        sink.check()

        def freeze() -> None:
            for process in server.processes():
                process.suspend()

        large = origin.made(b"large", os.urandom(40 * MIB))
        with pytest.raises(UnreachableSinkError, match="no answer for 2 s"):
            sink.send(large, b"large", Notes(), once(freeze))


# ------------------------------------------------------------------ what is kept, what is not reached


def test_time_and_permissions_are_kept(sshd: Server, origin: Origin, open_sink: Sinks) -> None:
    target = room(sshd)
    source = origin.path(b"file")
    origin.write(b"file", b"content")
    os.chmod(source, 0o4751)
    sent = open_sink(sshd, target).send(origin.open(b"file"), b"file", Notes(), freely)
    found = (target / "file").stat()
    assert (found.st_mtime, stat.S_IMODE(found.st_mode)) == (MTIME // 10**9, 0o751)
    assert sent.mtime_ns == MTIME // 10**9 * 10**9


def test_a_link_on_the_other_side_leads_nowhere(
    sshd: Server, origin: Origin, open_sink: Sinks
) -> None:
    outside = room(sshd)
    (outside / "file").write_bytes(b"untouched")
    target = room(sshd)
    (target / "link").symlink_to(outside)
    sink = open_sink(sshd, target)
    with pytest.raises(TransientError, match="no folder"):
        sink.send(origin.made(b"new", b"content"), b"link/new", Notes(), freely)
    sink.delete(b"link/file")
    assert sink.look(b"link/file") is None
    assert [found.name for found in sink.list(b"link")] == [b"link"]
    assert below(outside) == ["file"]


def test_what_is_read_back_is_compared(sshd: Server, origin: Origin, open_sink: Sinks) -> None:
    target = room(sshd)
    data = os.urandom(9 * MIB)
    sink = open_sink(sshd, target, verify=True)
    sink.send(origin.made(b"large", data), b"large", Notes(), freely)
    assert (target / "large").read_bytes() == data


@pytest.mark.parametrize("lost", [False, True])
def test_a_server_without_additions_replaces_files_too(
    origin: Origin,
    open_sink: Sinks,
    lost: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    poor = "internal-sftp -P posix-rename,fsync,statvfs,limits,lsetstat"
    with serving("sshd", subsystem=poor) as server:
        target = room(server)
        sink = open_sink(server, target)
        for content in (b"old", b"new"):
            sink.send(origin.made(b"file", content), b"file", Notes(), freely)
            assert (target / "file").read_bytes() == content
        data = os.urandom(9 * MIB)
        sink.send(origin.made(b"large", data), b"large", Notes(), freely)
        assert (target / "large").read_bytes() == data
        # As a crash between the two renames leaves it.
        ours = sink._tree._ours.decode()
        shutil.copy(target / "file", target / f"{ours}old.file")
        if lost:
            (target / "file").unlink()
        assert sink.sweep(frozenset()) == 1
        assert below(target) == ["file", "large"]
        assert (target / "file").read_bytes() == b"new"


@needs_rclone
def test_another_client_sees_the_same(sshd: Server, origin: Origin, open_sink: Sinks) -> None:
    target = room(sshd)
    sink = open_sink(sshd, target)
    for number in range(50):
        name = b"d%d/f%d" % (number % 5, number)
        sink.send(origin.made(name, os.urandom(number * 1000)), name, Notes(), freely)
    words = [str(rclone()), "check", "--config", os.devnull, os.fsdecode(origin.folder), target]
    ended = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "0 differences found" in ended.stderr


def test_folders_that_come_and_go_under_many_threads_lose_nothing(
    sshd: Server, origin: Origin, open_sink: Sinks
) -> None:
    target = room(sshd)
    sink = open_sink(sshd, target)
    origin.write(b"file", b"content")
    failed: list[BaseException] = []

    def work(number: int) -> None:
        mine = sink.fork()
        try:
            for _ in range(60):
                name = b"a/b/f%d" % number
                mine.send(origin.open(b"file"), name, Notes(), freely)
                mine.delete(name)
            mine.send(origin.open(b"file"), b"a/b/f%d" % number, Notes(), freely)
        except BaseException as error:  # noqa: BLE001 -- the test tells it
            failed.append(error)
        finally:
            mine.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert below(target / "a/b") == ["f0", "f1", "f2", "f3"]


@pytest.mark.root
def test_one_folder_that_refuses_concerns_its_files_only(origin: Origin, open_sink: Sinks) -> None:
    with serving("sshd") as server:
        target = room(server)
        (target / "open").mkdir()
        (target / "shut").mkdir()
        subprocess.run(
            ["mount", "--bind", "-o", "ro", target / "shut", target / "shut"], check=True
        )
        try:
            sink = open_sink(server, target)
            with pytest.raises((FileRefusedError, TransientError)):
                sink.send(origin.made(b"file", b"content"), b"shut/file", Notes(), freely)
            sink.send(origin.open(b"file"), b"open/file", Notes(), freely)
            sink.close()
        finally:
            subprocess.run(["umount", "--lazy", target / "shut"], check=True)
