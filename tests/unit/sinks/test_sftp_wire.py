"""SFTP's bytes, written down from draft-ietf-secsh-filexfer-02 and OpenSSH's PROTOCOL."""

import pytest

from zfs_walk.sinks import sftp_answers as answers
from zfs_walk.sinks import sftp_wire as wire
from zfs_walk.sinks.sftp_answers import Answer, GarbledError, Inbox, Status, StatusError
from zfs_walk.sinks.sftp_wire import Access, Attributes

HANDLE = b"\x00h"
RENAME = b"posix-rename@openssh.com".hex()
FSYNC = b"fsync@openssh.com".hex()

REQUESTS = {
    "open": (
        wire.open_file(b"a/\xff", Access.WRITE + Access.CREATE + Access.EXCLUSIVE, 0o600),
        "00000018 03 00000007 00000003 612fff 0000002a 00000004 00000180",
    ),
    "close": (wire.close(HANDLE), "0000000b 04 00000007 00000002 0068"),
    "read": (
        wire.read(HANDLE, 1 << 32, 32768),
        "00000017 05 00000007 00000002 0068 0000000100000000 00008000",
    ),
    "write": (
        wire.write(HANDLE, 1, b"data"),
        "0000001b 06 00000007 00000002 0068 0000000000000001 00000004 64617461",
    ),
    "lstat": (wire.stat_link(b"f"), "0000000a 07 00000007 00000001 66"),
    "fsetstat": (
        wire.set_handle(HANDLE, Attributes(mode=0o644, mtime=1_700_000_000)),
        "0000001b 0a 00000007 00000002 0068 0000000c 000001a4 6553f100 6553f100",
    ),
    "setstat": (
        wire.set_path(b"f", Attributes(size=5)),
        "00000016 09 00000007 00000001 66 00000001 0000000000000005",
    ),
    "mkdir": (wire.make_folder(b"d"), "0000000e 0e 00000007 00000001 64 00000000"),
    "rename": (wire.rename(b"a", b"b"), "0000000f 12 00000007 00000001 61 00000001 62"),
    "symlink": (wire.make_link(b"to", b"l"), "00000010 14 00000007 00000002 746f 00000001 6c"),
    "posix-rename": (
        wire.replace(b"a", b"b"),
        f"0000002b c8 00000007 00000018 {RENAME} 00000001 61 00000001 62",
    ),
    "fsync": (
        wire.synchronise(HANDLE),
        f"00000020 c8 00000007 00000011 {FSYNC} 00000002 0068",
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_what_the_draft_says(name: str) -> None:
    request, expected = REQUESTS[name]
    assert isinstance(request.data, bytes)
    assert (request.head(7) + request.data).hex() == expected.replace(" ", "")


def test_the_greeting_tells_the_extensions_once_it_is_whole() -> None:
    assert wire.hello().hex() == "000000050100000003"
    whole = bytes.fromhex("0000001f 02 00000003 00000011") + b"fsync@openssh.com"
    whole += bytes.fromhex("00000001") + b"1"
    inbox = Inbox()
    assert inbox.greeting(whole[:20]) is None
    assert inbox.greeting(whole[20:]) == {b"fsync@openssh.com": b"1"}


@pytest.mark.parametrize("said", ["00000005 02 00000004", "00000005 65 00000003", "ffffffff 02"])
def test_another_greeting_is_no_sftp(said: str) -> None:
    with pytest.raises(GarbledError):
        Inbox().greeting(bytes.fromhex(said))


def test_answers_come_out_whole_in_whatever_pieces_they_come() -> None:
    ok = bytes.fromhex("00000011 65 00000007 00000000 00000000 00000000")
    handle = bytes.fromhex("0000000b 66 00000008 00000002 0068")
    inbox = Inbox()
    stream = ok + handle
    found = [each for at in range(len(stream)) for each in inbox.feed(stream[at : at + 1])]
    assert [number for number, _ in found] == [7, 8]
    found[0][1].done()
    assert found[1][1].handle() == HANDLE


def test_a_status_other_than_success_is_raised_with_its_words() -> None:
    said = Answer(101, bytes.fromhex("00000003 00000006 64656e696564 00000000"))
    for asked in (said.done, said.handle, said.attributes):
        with pytest.raises(StatusError, match=r"denied \(3\)") as caught:
            asked()
        assert caught.value.status == Status.PERMISSION_DENIED


def test_success_where_something_is_due_is_no_success() -> None:
    with pytest.raises(StatusError):
        Answer(101, bytes.fromhex("00000000 00000000 00000000")).handle()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("00000000", Attributes()),
        (
            "0000000f 0000000000000005 000003e8 000003e8 000081a4 00000001 6553f100",
            Attributes(5, 0o100644, 1_700_000_000),
        ),
        ("80000004 000041ed 00000001 00000001 78 00000001 79", Attributes(mode=0o40755)),
    ],
)
def test_attributes_are_read_as_their_flags_say(said: str, expected: Attributes) -> None:
    assert Answer(105, bytes.fromhex(said)).attributes() == expected


def test_names_are_bytes() -> None:
    said = "00000001 00000002 6cff 00000003 2d2d2d 00000004 0000a1ff"
    assert Answer(104, bytes.fromhex(said)).names() == [(b"l\xff", Attributes(mode=0o120777))]


def test_room_and_limits_are_read_where_they_stand() -> None:
    fields = [4096, 512, 100, 50, 20, 10, 5, 4, 9, 1, 255]
    body = b"".join(field.to_bytes(8) for field in fields)
    assert answers.room_of(Answer(201, body)) == answers.Room(free=512 * 20, read_only=True)
    limits = b"".join(field.to_bytes(8) for field in (262144, 261120, 261121, 1019))
    assert answers.largest_write_of(Answer(201, limits)) == 261121


@pytest.mark.parametrize("said", ["", "00000005 68", "ffffffff"])
def test_what_ends_too_early_is_no_answer(said: str) -> None:
    with pytest.raises(GarbledError):
        Answer(102, bytes.fromhex(said)).handle()
