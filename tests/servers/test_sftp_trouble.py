"""The SFTP sink against servers that take nothing, die, or fall silent, and lines that break."""

import contextlib
import os

import pytest

from tests.servers.proxy import proxied
from tests.servers.ssh import (
    Server,
    Sinks,
    below,
    free_port,
    needs_sshd,
    refused,
    room,
    run,
    serving,
)
from zfs_walk.sinks.conformance.place import Notes, Origin, freely, once
from zfs_walk.sinks.errors import (
    CorruptedError,
    FullSinkError,
    SinkError,
    SinkRefusedError,
    UnreachableSinkError,
)

pytestmark = [pytest.mark.slow, pytest.mark.big, needs_sshd]

MIB = 1 << 20


def test_a_server_that_can_only_be_read_refuses(origin: Origin, sftp_both_ways: Sinks) -> None:
    with serving("sshd", subsystem="internal-sftp -R") as server:
        target = room(server)
        sink = sftp_both_ways(server, target)
        assert "no file can be made there" in refused(sink)
        with pytest.raises(SinkRefusedError, match="no file can be made there"):
            sink.send(origin.made(b"file", b"content"), b"d/file", Notes(), freely)
        assert below(target) == []


def test_a_folder_that_is_not_there_is_not_made(
    sshd: Server, origin: Origin, sftp_both_ways: Sinks
) -> None:
    folder = room(sshd) / "unmounted"
    sink = sftp_both_ways(sshd, folder)
    assert "it is no folder that is there" in refused(sink)
    with pytest.raises(SinkError):
        sink.send(origin.made(b"file", b"content"), b"d/file", Notes(), freely)
    assert not folder.exists()


@pytest.mark.root
def test_a_full_disk_says_so_and_sending_goes_on_when_there_is_room(
    sshd: Server, origin: Origin, sftp_both_ways: Sinks
) -> None:
    target = room(sshd)
    run("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", target)
    try:
        sink = sftp_both_ways(sshd, target)
        sink.check()
        large = origin.made(b"large", os.urandom(20 * MIB))
        with pytest.raises(FullSinkError, match="are free"):
            sink.send(large, b"large", Notes(), freely)
        assert below(target) == [], "what can't be finished takes no room from others"
        filler = target / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
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
        run("umount", "--lazy", target)


def test_a_server_that_is_not_there_is_told_and_found_again(
    origin: Origin, sftp_both_ways: Sinks
) -> None:
    with serving("sshd") as server:
        target = room(server)
        sink = sftp_both_ways(server, target)
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


def test_what_is_no_ssh_server_is_told(sshd: Server, sftp_both_ways: Sinks) -> None:
    port = free_port()
    sink = sftp_both_ways(sshd, sshd.served, port)
    with pytest.raises(UnreachableSinkError, match="Connection refused"):
        sink.check()


def test_a_bit_that_is_flipped_on_the_way_is_noticed_and_the_file_sent_again(
    sshd: Server, origin: Origin, sftp_both_ways: Sinks
) -> None:
    target = room(sshd)
    data = os.urandom(20 * MIB)
    source, memory = origin.made(b"large", data), Notes()
    with proxied(sshd.port) as proxy:
        sink = sftp_both_ways(sshd, target, proxy.port)
        sink.check()
        proxy.flip_after(8 * MIB)
        with pytest.raises((UnreachableSinkError, CorruptedError)):
            sink.send(source, b"large", memory, freely)
        assert proxy.spoiled == 1
        assert not (target / "large").exists()
        sink.send(source, b"large", memory, freely)
        sink.close()
    assert (target / "large").read_bytes() == data


def test_an_answer_that_is_altered_on_the_way_is_told_as_that(
    sshd: Server, origin: Origin, sftp_both_ways: Sinks
) -> None:
    with proxied(sshd.port) as proxy:
        sink = sftp_both_ways(sshd, room(sshd), proxy.port)
        sink.check()
        proxy.flip_answer()
        with pytest.raises(CorruptedError, match="altered on the way"):
            sink.send(origin.made(b"file", b"content"), b"file", Notes(), freely)
        sink.send(origin.open(b"file"), b"file", Notes(), freely)
        sink.close()


def test_what_a_lost_connection_has_left_goes_with_the_next_file(
    sshd: Server, origin: Origin, sftp_both_ways: Sinks
) -> None:
    target = room(sshd)
    with proxied(sshd.port) as proxy:
        sink = sftp_both_ways(sshd, target, proxy.port)
        sink.check()
        proxy.cut_after(2 * MIB)
        with pytest.raises(UnreachableSinkError):
            sink.send(origin.made(b"lost", os.urandom(3 * MIB)), b"d/lost", Notes(), freely)
        assert len(below(target)) == 2, "its folder and what was sent"
        sink.send(origin.made(b"file", b"content"), b"file", Notes(), freely)
        sink.close()
    assert below(target) == ["file"]


def test_a_server_that_falls_silent_is_given_up(origin: Origin, sftp_both_ways: Sinks) -> None:
    with serving("sshd") as server:
        sink = sftp_both_ways(server, room(server), timeout=2)
        sink.check()

        def freeze() -> None:
            for process in server.processes():
                process.suspend()

        large = origin.made(b"large", os.urandom(40 * MIB))
        with pytest.raises(UnreachableSinkError, match="no answer for 2 s"):
            sink.send(large, b"large", Notes(), once(freeze))
