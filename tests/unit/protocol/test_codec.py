"""Frames of messages: what is sent, and what is refused and why."""

import contextlib
import dataclasses
import json
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.protocol.golden import FILE, frames
from tests.unit.protocol.samples import MESSAGES, any_message, build
from zfs_walk.protocol.codec import (
    BUS,
    MAGIC,
    MAX_MESSAGE,
    MalformedError,
    TooLargeError,
    UnsupportedError,
    WrongMajorError,
)
from zfs_walk.protocol.messages import TABLE, Commit, Hello, WorkRequest, wire_name
from zfs_walk.protocol.records import Item
from zfs_walk.protocol.schema import annotations_of, is_payload

REFUSALS = (MalformedError, UnsupportedError, WrongMajorError)


def header_of(message: Any) -> dict[str, Any]:
    header: dict[str, Any] = msgpack.unpackb(BUS.encode(message)[1])
    return header


def decode_header(header: object, *payload: bytes) -> Any:
    return BUS.decode([MAGIC, msgpack.packb(header), *payload])


# ------------------------------------------------------------------------- what is sent


def test_every_message_is_sent_in_the_bytes_that_other_releases_know() -> None:
    assert frames() == json.loads(FILE.read_text())


@pytest.mark.parametrize("message", MESSAGES, ids=wire_name)
def test_the_golden_bytes_are_understood(message: Any) -> None:
    golden = json.loads(FILE.read_text())[wire_name(message)]
    assert BUS.decode([bytes.fromhex(frame) for frame in golden]) == build(message)


@settings(max_examples=400, deadline=None)
@given(any_message)
def test_what_is_decoded_is_what_was_encoded(message: Any) -> None:
    assert BUS.decode(BUS.encode(message)) == message


def test_items_travel_in_payload_frames_of_their_own() -> None:
    assert [name for name, kind in annotations_of(Commit).items() if is_payload(kind)] == [
        "removed", "added", "split", "quarantined", "attempts",
    ]  # fmt: skip
    assert len(BUS.encode(build(Commit))) == 2 + 5


def test_frames_may_be_views_of_a_buffer() -> None:
    sent = build(Commit)
    assert BUS.decode([memoryview(frame) for frame in BUS.encode(sent)]) == sent


def test_a_message_too_large_for_the_wire_is_refused_at_its_sender() -> None:
    commit = build(Commit)
    huge = tuple(Item(n, 0, 0, b"x" * 2**20) for n in range(17))
    values = {name: getattr(commit, name) for name in annotations_of(Commit)}
    with pytest.raises(TooLargeError, match=f"COMMIT has .* more than {MAX_MESSAGE:,}"):
        BUS.encode(Commit(**(values | {"added": huge})))


def test_every_answer_in_the_table_is_a_message_of_the_table() -> None:
    names = {row.type for row in TABLE}
    assert {answer for row in TABLE for answer in row.answers} <= names


# ------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("message", MESSAGES, ids=wire_name)
def test_a_missing_field_is_named(message: Any) -> None:
    sent = build(message)
    payload = BUS.encode(sent)[2:]
    defaults = {
        field.name: field.default
        for field in dataclasses.fields(message)
        if field.default is not dataclasses.MISSING
    }
    for field in header_of(sent).keys() - {"t"}:
        header = header_of(sent)
        del header[field]
        if field in defaults:
            assert getattr(decode_header(header, *payload), field) == defaults[field]
            continue
        with pytest.raises(MalformedError, match=rf"{wire_name(message)}\.{field}: missing"):
            decode_header(header, *payload)


@pytest.mark.parametrize("message", MESSAGES, ids=wire_name)
def test_an_ill_typed_field_is_named(message: Any) -> None:
    sent = build(message)
    payload = BUS.encode(sent)[2:]
    for field in header_of(sent).keys() - {"t"}:
        header = header_of(sent) | {field: 1.5}
        with pytest.raises(MalformedError, match=rf"{wire_name(message)}\.{field}"):
            decode_header(header, *payload)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"want": -1}, r"WORK_REQUEST.want: -1 is not within 0..4294967295"),
        ({"want": 2**32}, r"WORK_REQUEST.want: 4294967296 is not within"),
        ({"want": True}, r"WORK_REQUEST.want: int wanted, bool came"),
        ({"want": None}, r"WORK_REQUEST.want: int wanted, NoneType came"),
    ],
)
def test_a_number_is_checked_against_its_range(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(MalformedError, match=complaint):
        decode_header(header_of(WorkRequest(1)) | changes)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"name": "n" * 256}, "HELLO.name: 256 is longer than 255"),
        ({"role": "king"}, "HELLO.role: 'king' is none of walker"),
        ({"held": [[1, 2, 3]] * 65}, "HELLO.held: 65 elements, more than 64"),
        ({"held": [[1, 2]]}, r"HELLO.held: list of 3 \(Lease\) wanted"),
        ({"held": [[1, 2, "x"]]}, "HELLO.held.acked_seq: int wanted, str came"),
        ({"held": {}}, "HELLO.held: list wanted, dict came"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(MalformedError, match=complaint):
        decode_header(header_of(build(Hello)) | changes)


@pytest.mark.parametrize(
    ("counters", "complaint"),
    [
        ({"a": 2**63}, "COMMIT.counters.a: .* does not fit 64 bits"),
        ({"a": "1"}, "COMMIT.counters: a map of names"),
        ({"a" * 256: 1}, "COMMIT.counters: a map of names"),
        ({str(i): i for i in range(4097)}, "COMMIT.counters: 4,097 keys, more than 4,096"),
        ([], "COMMIT.counters: map wanted"),
    ],
)
def test_counters_are_names_and_integers_of_64_bits(counters: object, complaint: str) -> None:
    frames_sent = BUS.encode(build(Commit))
    header = header_of(build(Commit)) | {"counters": counters}
    with pytest.raises(MalformedError, match=complaint):
        decode_header(header, *frames_sent[2:])


def test_a_missing_payload_frame_is_malformed() -> None:
    with pytest.raises(MalformedError, match="COMMIT: 5 payload frames wanted, 4 came"):
        BUS.decode(BUS.encode(build(Commit))[:-1])


def test_an_unknown_field_and_a_further_frame_are_ignored() -> None:
    header = header_of(WorkRequest(3)) | {"mood": "good"}
    assert decode_header(header, b"later") == WorkRequest(3)


def test_a_record_of_a_newer_minor_version_may_be_longer() -> None:
    hello = build(Hello)
    held = [[lease.uid, lease.epoch, lease.acked_seq, "new"] for lease in hello.held]
    assert decode_header(header_of(hello) | {"held": held}) == hello


def test_an_unknown_type_is_unsupported_and_named() -> None:
    with pytest.raises(UnsupportedError, match="DANCE"):
        decode_header({"t": "DANCE"})


def test_another_major_version_is_named() -> None:
    _, *rest = BUS.encode(WorkRequest(1))
    with pytest.raises(WrongMajorError) as caught:
        BUS.decode([b"ZW\x07", *rest])
    assert caught.value.args == (7,)


@pytest.mark.parametrize(
    "strange",
    [
        [],
        [MAGIC],
        [b"GET / HTTP/1.1", b""],
        [b"", b""],
        [MAGIC, b""],
        [MAGIC, b"\xc1"],
        [MAGIC, b"\x01"],
        [MAGIC, b"\x80"],
        [MAGIC, b"\x81\xa1t\xc0"],
        [MAGIC, b"\x91" * 3000],
        [MAGIC, msgpack.packb({1: 2})],
    ],
)
def test_what_is_no_message_is_malformed(strange: list[bytes]) -> None:
    with pytest.raises(MalformedError):
        BUS.decode(strange)


# ------------------------------------------------------------------------- fuzz


@settings(max_examples=500, deadline=None)
@given(st.lists(st.binary(max_size=64), max_size=8))
def test_random_frames_raise_nothing_but_what_is_documented(strange: list[bytes]) -> None:
    for tried in (strange, [MAGIC, *strange]):
        with contextlib.suppress(*REFUSALS):
            BUS.decode(tried)


@settings(max_examples=1500, deadline=None)
@given(any_message, st.data())
def test_broken_messages_raise_nothing_but_what_is_documented(message: Any, data: Any) -> None:
    sent = BUS.encode(message)
    i = data.draw(st.integers(0, len(sent) - 1))
    frame = bytearray(sent[i])
    kind = data.draw(st.sampled_from(("flip", "cut", "insert", "drop", "swap")))
    at = data.draw(st.integers(0, max(0, len(frame) - 1)))
    match kind:
        case "flip" if frame:
            frame[at] = data.draw(st.integers(0, 255))
        case "cut":
            del frame[at:]
        case "insert":
            frame[at:at] = data.draw(st.binary(max_size=9))
        case "swap":
            sent.reverse()
    sent[i] = bytes(frame)
    if kind == "drop":
        del sent[i]
    with contextlib.suppress(*REFUSALS):
        BUS.decode(sent)
