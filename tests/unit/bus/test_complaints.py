"""A peer that sends junk can't fill a log."""

import logging

import pytest

from zfs_walk.bus.complaints import EVERY, Complaints


def test_the_first_complaint_is_said_and_the_others_are_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    complaints = Complaints(logging.getLogger("zfs_walk.test"))
    for number in range(1_001):
        complaints.say(f"junk {number}", 50.0 + number / 1_000)
    assert caplog.messages == ["junk 0"]
    complaints.say("more junk", 50.0 + EVERY)
    assert caplog.messages == ["junk 0", "more junk (and 1,000 more before)"]
    complaints.say("and more", 50.0 + 2 * EVERY)
    assert caplog.messages[2:] == ["and more"]


def test_a_complaint_has_a_bound(caplog: pytest.LogCaptureFixture) -> None:
    Complaints(logging.getLogger("zfs_walk.test")).say("x" * 10_000, 50.0)
    assert len(caplog.messages[0]) < 1_000
