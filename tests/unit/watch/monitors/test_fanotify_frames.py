"""The buffers of fanotify: what whole events say, and that nothing else is taken for one."""

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfs_walk.watch.fanotify_frames import (
    NAMED,
    NEW_NAME,
    OLD_NAME,
    Frame,
    FrameError,
    Place,
    frames,
)

NAMES = st.binary(min_size=1, max_size=255).filter(lambda name: b"\0" not in name)
HANDLES = st.binary(max_size=128).map(lambda body: struct.pack("=Ii", len(body), 1) + body)
PLACES = st.builds(Place, st.sampled_from([NAMED, OLD_NAME, NEW_NAME]), HANDLES, NAMES)
FRAMES = st.builds(Frame, st.integers(0, 2**64 - 1), st.lists(PLACES, max_size=3).map(tuple))


def record(place: Place) -> bytes:
    """As fanotify(7) has it: head, file system, handle, name, and zeros up to four bytes."""
    body = b"fsid-of-" + place.handle + place.name + b"\0"
    body += b"\0" * (-len(body) % 4)
    return struct.pack("=BBH", place.kind, 0, 4 + len(body)) + body


def event(frame: Frame, more: bytes = b"") -> bytes:
    body = b"".join(record(place) for place in frame.places) + more
    return struct.pack("=IBBHQii", 24 + len(body), 3, 0, 24, frame.mask, -1, 77) + body


@given(st.lists(FRAMES, max_size=5))
def test_whole_events_are_read_as_they_were_written(written: Sequence[Frame]) -> None:
    assert list(frames(b"".join(event(frame) for frame in written))) == list(written)


@given(st.binary(max_size=200))
def test_junk_is_refused_or_read_and_nothing_else(junk: bytes) -> None:
    try:
        found = list(frames(junk))
    except FrameError:
        return
    assert bool(found) == bool(junk)


@given(st.lists(FRAMES, min_size=1, max_size=3), st.data())
def test_a_changed_byte_does_no_more_than_be_refused(
    written: Sequence[Frame], data: st.DataObject
) -> None:
    buffer = bytearray(b"".join(event(frame) for frame in written))
    buffer[data.draw(st.integers(0, len(buffer) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = list(frames(bytes(buffer)))
    except FrameError:
        return
    assert all(len(place.handle) >= 8 for frame in found for place in frame.places)


@given(FRAMES, st.data())
def test_half_an_event_is_refused(written: Frame, data: st.DataObject) -> None:
    whole = event(written)
    with pytest.raises(FrameError):
        list(frames(whole[: data.draw(st.integers(1, len(whole) - 1))]))


def test_records_of_other_kinds_are_passed_over() -> None:
    place = Place(NAMED, struct.pack("=Ii", 2, 1) + b"ab", b"name")
    other = struct.pack("=BBHi", 4, 0, 8, 5)
    assert list(frames(event(Frame(8, (place,)), other))) == [Frame(8, (place,))]


def test_events_of_another_version_are_refused() -> None:
    buffer = bytearray(event(Frame(8, ())))
    buffer[4] = 2
    with pytest.raises(FrameError, match="another version"):
        list(frames(bytes(buffer)))
