"""Who fails a handshake is named; who succeeds is never blamed."""

import errno
import logging
import os

import pytest
import zmq

from zfs_walk.bus.handshakes import HANDSHAKE_MS, JUNK, Handshakes, peer_of

ACCEPTED = zmq.Event.ACCEPTED
SUCCEEDED = zmq.Event.HANDSHAKE_SUCCEEDED
NO_DETAIL = zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
PROTOCOL = zmq.Event.HANDSHAKE_FAILED_PROTOCOL
AUTH = zmq.Event.HANDSHAKE_FAILED_AUTH
DISCONNECTED = zmq.Event.DISCONNECTED


class Door:
    """A socket's monitor, at a time that stands still unless the test moves it."""

    def __init__(self) -> None:
        self.handshakes = Handshakes()
        self.now = 100.0

    def note(self, event: zmq.Event, value: int = 0, address: str = "") -> None:
        self.handshakes.note(event, value, address, self.now)


@pytest.fixture
def door(caplog: pytest.LogCaptureFixture) -> Door:
    caplog.set_level(logging.WARNING)
    return Door()


@pytest.mark.parametrize(
    ("event", "value", "reason"),
    [
        (PROTOCOL, zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH, "it speaks without a key"),
        (
            PROTOCOL,
            zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC,
            "it takes another key for this broker's",
        ),
        (PROTOCOL, zmq.PROTOCOL_ERROR_ZMTP_UNSPECIFIED, JUNK),
        (NO_DETAIL, errno.EAGAIN, "it showed no key within 5 s"),
        (NO_DETAIL, errno.ECONNRESET, "it left without showing a key"),
    ],
)
def test_a_failed_handshake_is_logged_with_the_peer_and_the_reason(
    door: Door, caplog: pytest.LogCaptureFixture, event: zmq.Event, value: int, reason: str
) -> None:
    door.note(ACCEPTED, 7, "192.0.2.1:4000")
    door.note(event, value)
    door.note(DISCONNECTED, 7)
    assert caplog.messages == [f"192.0.2.1:4000 was refused: {reason}"]


def test_what_is_no_zeromq_at_all_is_logged(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    door.note(ACCEPTED, 7, "192.0.2.1:4000")
    door.note(DISCONNECTED, 7)
    assert caplog.messages == [f"192.0.2.1:4000 was refused: {JUNK}"]


def test_what_zap_has_refused_is_not_logged_twice(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    door.note(ACCEPTED, 7, "192.0.2.1:4000")
    door.note(AUTH, 400)
    door.note(DISCONNECTED, 7)
    assert caplog.messages == []


def test_who_was_let_in_may_leave(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    door.note(ACCEPTED, 7, "192.0.2.1:4000")
    door.note(SUCCEEDED)
    door.note(ACCEPTED, 8, "192.0.2.2:4000")
    door.note(DISCONNECTED, 7)
    assert caplog.messages == []
    door.note(DISCONNECTED, 8)
    assert caplog.messages == [f"192.0.2.2:4000 was refused: {JUNK}"]


def test_nobody_is_blamed_when_it_may_have_been_the_one_who_was_let_in(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    door.note(ACCEPTED, 7, "192.0.2.1:4000")
    door.note(ACCEPTED, 8, "192.0.2.2:4000")
    door.note(SUCCEEDED)
    door.note(DISCONNECTED, 7)
    door.note(DISCONNECTED, 8)
    assert caplog.messages == []


def test_who_stays_longer_than_a_handshake_was_let_in(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    door.note(ACCEPTED, 7, "192.0.2.1:4000")
    door.note(ACCEPTED, 8, "192.0.2.2:4000")
    door.note(SUCCEEDED)
    door.note(NO_DETAIL, errno.EAGAIN)
    door.note(DISCONNECTED, 8)
    caplog.clear()
    door.now += 3 * HANDSHAKE_MS / 1000
    door.note(ACCEPTED, 9, "192.0.2.3:4000")
    door.note(DISCONNECTED, 7)
    assert caplog.messages == []
    door.note(DISCONNECTED, 9)
    assert caplog.messages == [f"192.0.2.3:4000 was refused: {JUNK}"]


def test_a_flood_of_one_kind_hides_no_other(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    for descriptor in range(500):
        door.note(ACCEPTED, descriptor, f"192.0.2.1:{descriptor}")
    for descriptor in range(500):
        door.note(NO_DETAIL, errno.EAGAIN)
        door.note(DISCONNECTED, descriptor)
    door.note(ACCEPTED, 7, "192.0.2.2:1")
    door.note(PROTOCOL, zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)
    door.note(DISCONNECTED, 7)
    assert caplog.messages == [
        "192.0.2.1:0 was refused: it showed no key within 5 s",
        "192.0.2.2:1 was refused: it speaks without a key",
    ]


def test_a_descriptor_that_is_no_connection_any_more_has_no_address_and_costs_none() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 -- descriptors
    assert peer_of(reading) == ""
    assert len(os.listdir("/proc/self/fd")) == len(before)  # noqa: PTH208 -- descriptors
    os.close(reading)
    assert peer_of(reading) == ""
