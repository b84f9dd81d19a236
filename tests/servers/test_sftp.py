"""What the SFTP sink keeps at a real server, and what it does not reach."""

import os
import shutil
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from tests.servers.ssh import (
    Server,
    Sinks,
    below,
    needs_rclone,
    needs_sshd,
    rclone,
    room,
    run,
    serving,
)
from zfs_walk.sinks.conformance.place import MTIME, Notes, Origin, freely
from zfs_walk.sinks.errors import FileRefusedError, TransientError

pytestmark = [pytest.mark.slow, pytest.mark.big, needs_sshd]

MIB = 1 << 20


def test_time_and_permissions_are_kept(sshd: Server, origin: Origin, sftp_to: Sinks) -> None:
    target = room(sshd)
    source = origin.path(b"file")
    origin.write(b"file", b"content")
    Path(os.fsdecode(source)).chmod(0o4751)
    sent = sftp_to(sshd, target).send(origin.open(b"file"), b"file", Notes(), freely)
    found = (target / "file").stat()
    assert (found.st_mtime, stat.S_IMODE(found.st_mode)) == (MTIME // 10**9, 0o751)
    assert sent.mtime_ns == MTIME // 10**9 * 10**9


def test_a_link_on_the_other_side_leads_nowhere(
    sshd: Server, origin: Origin, sftp_to: Sinks
) -> None:
    outside = room(sshd)
    (outside / "file").write_bytes(b"untouched")
    target = room(sshd)
    (target / "link").symlink_to(outside)
    sink = sftp_to(sshd, target)
    with pytest.raises(TransientError, match="no folder"):
        sink.send(origin.made(b"new", b"content"), b"link/new", Notes(), freely)
    sink.delete(b"link/file")
    assert sink.look(b"link/file") is None
    assert [found.name for found in sink.list(b"link")] == [b"link"]
    assert below(outside) == ["file"]


def test_what_is_read_back_is_compared(sshd: Server, origin: Origin, sftp_to: Sinks) -> None:
    target = room(sshd)
    data = os.urandom(9 * MIB)
    sink = sftp_to(sshd, target, verify=True)
    sink.send(origin.made(b"large", data), b"large", Notes(), freely)
    assert (target / "large").read_bytes() == data


@pytest.mark.parametrize("lost", [False, True])
def test_a_server_without_additions_replaces_files_too(
    origin: Origin,
    sftp_to: Sinks,
    lost: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    poor = "internal-sftp -P posix-rename,fsync,statvfs,limits,lsetstat"
    with serving("sshd", subsystem=poor) as server:
        target = room(server)
        sink = sftp_to(server, target)
        for content in (b"old", b"new"):
            sink.send(origin.made(b"file", content), b"file", Notes(), freely)
            assert (target / "file").read_bytes() == content
        data = os.urandom(9 * MIB)
        sink.send(origin.made(b"large", data), b"large", Notes(), freely)
        assert (target / "large").read_bytes() == data
        # As a crash between the two renames leaves it.
        ours = sink._tree.ours.decode()
        shutil.copy(target / "file", target / f"{ours}old.file")
        if lost:
            (target / "file").unlink()
        assert sink.sweep(frozenset()) == 1
        assert below(target) == ["file", "large"]
        assert (target / "file").read_bytes() == b"new"


@needs_rclone
def test_another_client_sees_the_same(sshd: Server, origin: Origin, sftp_to: Sinks) -> None:
    target = room(sshd)
    sink = sftp_to(sshd, target)
    for number in range(50):
        name = b"d%d/f%d" % (number % 5, number)
        sink.send(origin.made(name, os.urandom(number * 1000)), name, Notes(), freely)
    words = [
        str(rclone()),
        "check",
        "--config",
        os.devnull,
        os.fsdecode(origin.folder),
        str(target),
    ]
    ended = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "0 differences found" in ended.stderr


def test_folders_that_come_and_go_under_many_threads_lose_nothing(
    sshd: Server, origin: Origin, sftp_to: Sinks
) -> None:
    target = room(sshd)
    sink = sftp_to(sshd, target)
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
def test_one_folder_that_refuses_concerns_its_files_only(origin: Origin, sftp_to: Sinks) -> None:
    with serving("sshd") as server:
        target = room(server)
        (target / "open").mkdir()
        (target / "shut").mkdir()
        run("mount", "--bind", "-o", "ro", target / "shut", target / "shut")
        try:
            sink = sftp_to(server, target)
            with pytest.raises((FileRefusedError, TransientError)):
                sink.send(origin.made(b"file", b"content"), b"shut/file", Notes(), freely)
            sink.send(origin.open(b"file"), b"open/file", Notes(), freely)
            sink.close()
        finally:
            run("umount", "--lazy", target / "shut")
