"""What of a mirror's life is logged, and how loud."""

import dataclasses
import logging

import pytest

from tests.unit.agents.uploader.making import HANDLER, WELL
from zfs_walk.agents.uploader.narrator import LEVELS, Narrator
from zfs_walk.mirror.handling import Happening, What
from zfs_walk.mirror.records import Action, Kind, State

ACTION = Action(b"in/\xffname", Kind.SEND, State.READY, 1, 10, 1.0, 1.0, 10, "", unsure=False)


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [(level, text) for name, level, text in caplog.record_tuples if "uploader" in name]


def test_a_file_that_is_set_aside_is_named_with_the_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    Narrator().happened("photos", Happening(What.ASIDE, ACTION, 1.0, "no such name"))
    assert said(caplog) == [(logging.WARNING, "photos: in/\ufffdname aside: no such name")]


def test_what_goes_well_is_said_when_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    happening = Happening(What.SENT, ACTION, 1.0, "")
    with caplog.at_level(logging.INFO, "zfs_walk.uploader"):
        Narrator().happened("photos", happening)
    assert said(caplog) == []
    with caplog.at_level(logging.DEBUG, "zfs_walk.uploader"):
        Narrator().happened("photos", happening)
    assert said(caplog) == [(logging.DEBUG, "photos: in/\ufffdname sent")]


def test_everything_that_may_happen_has_a_level() -> None:
    assert set(LEVELS) == set(What)


def test_trouble_is_said_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    sick = dataclasses.replace(WELL, handler=dataclasses.replace(HANDLER, trouble="no bucket"))
    idle = dataclasses.replace(WELL, handler=None)
    narrator = Narrator()
    with caplog.at_level(logging.INFO, "zfs_walk.uploader"):
        for known in (idle, WELL, sick, sick, WELL, WELL):
            narrator.look([known])
    assert said(caplog) == [
        (logging.WARNING, "photos: nothing is sent for now: no bucket"),
        (logging.INFO, "photos: sending again"),
    ]
