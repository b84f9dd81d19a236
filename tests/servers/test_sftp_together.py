"""Many small files go by SFTP at once, and what is wrong with one concerns no other."""

import os

import pytest

from tests.servers.proxy import proxied
from tests.servers.ssh import Server, Sinks, below, needs_sshd, room
from zfs_walk.sinks.conformance.place import Origin, freely
from zfs_walk.sinks.errors import (
    ChangedError,
    NameRefusedError,
    SinkRefusedError,
    StoppedError,
    TransientError,
    UnreachableSinkError,
)
from zfs_walk.sinks.interface import Parcel, Remote, Report, Together

pytestmark = [pytest.mark.slow, pytest.mark.big, needs_sshd]

MIB = 1 << 20


def parcel(origin: Origin, name: bytes, data: bytes, report: Report = freely) -> Parcel:
    """A new file that is to go where it is."""
    return Parcel(origin.made(name, data), name, report)


def test_files_in_new_folders_above_and_beside_each_other_arrive(
    sshd: Server, origin: Origin, sftp_both_ways: Sinks
) -> None:
    target = room(sshd)
    names = [b"a/b/c/one", b"a/b/two", b"a/b/three", b"four", b"odd\xff/five", b"a/empty"]
    data = {name: os.urandom(1000 * number) for number, name in enumerate(reversed(names))}
    sink = sftp_both_ways(sshd, target)
    assert isinstance(sink, Together)
    sent = sink.send_together([parcel(origin, n, data[n]) for n in names])
    assert [(each.name, each.size) for each in sent if isinstance(each, Remote)] == [
        (name, len(data[name])) for name in names
    ]
    for name in names:
        assert (target / os.fsdecode(name)).read_bytes() == data[name]


def test_what_is_there_already_is_replaced(
    sshd: Server, origin: Origin, sftp_both_ways: Sinks
) -> None:
    target = room(sshd)
    sink = sftp_both_ways(sshd, target)
    for content in (b"old", b"newer"):
        sink.send_together([parcel(origin, b"d/f%d" % n, content) for n in range(40)])
    assert {(target / f"d/f{n}").read_bytes() for n in range(40)} == {b"newer"}
    assert len(below(target)) == 41


def test_each_ones_error_is_its_own(sshd: Server, origin: Origin, sftp_both_ways: Sinks) -> None:
    target = room(sshd)
    (target / "file").write_bytes(b"a file, where a folder is to be")
    (target / "full/below").mkdir(parents=True)

    def stop(_: int) -> None:
        raise StoppedError

    parcels = [
        parcel(origin, b"d/one", b"content"),
        parcel(origin, b"stopped", b"content", stop),
        Parcel(origin.open(b"d/one"), b".zfs-walk.x", freely),
        parcel(origin, b"changed", b"content"),
        Parcel(origin.open(b"d/one"), b"file/below", freely),
        Parcel(origin.open(b"d/one"), b"full", freely),
        parcel(origin, b"d/two", b"content"),
    ]
    origin.write(b"changed", b"longer than before")
    sent = sftp_both_ways(sshd, target).send_together(parcels)
    expected = [Remote, StoppedError, NameRefusedError, ChangedError, *2 * [TransientError], Remote]
    assert [type(each) for each in sent] == expected
    assert below(target) == ["d", "d/one", "d/two", "file", "full", "full/below"]


def test_a_line_that_is_cut_ends_all_and_what_is_left_of_them_goes_with_the_next(
    sshd: Server, origin: Origin, sftp_both_ways: Sinks
) -> None:
    target = room(sshd)
    with proxied(sshd.port) as proxy:
        sink = sftp_both_ways(sshd, target, proxy.port)
        sink.check()
        parcels = [parcel(origin, b"d/f%d" % number, os.urandom(MIB)) for number in range(8)]
        proxy.cut_after(4 * MIB)
        sent = sink.send_together(parcels)
        assert {type(each) for each in sent} == {UnreachableSinkError}
        assert below(target)[1:], "what was begun"
        again = sink.send_together(parcels)
        assert all(isinstance(each, Remote) for each in again)
        assert below(target) == ["d", *(f"d/f{number}" for number in range(8))]
        sink.close()


def test_a_server_that_does_not_let_in_is_told_for_each(
    sshd: Server, origin: Origin, sftp_both_ways: Sinks
) -> None:
    sink = sftp_both_ways(sshd, room(sshd), key_file=["/nowhere"])
    sent = sink.send_together([parcel(origin, b"f%d" % number, b"") for number in range(3)])
    assert [type(each) for each in sent] == [SinkRefusedError] * 3
