"""What follows from a failed try, exactly."""

import errno
from dataclasses import replace

import pytest

from zfs_walk.errors import StateError
from zfs_walk.mirror.records import Action, Kind, State
from zfs_walk.mirror.retry import (
    CHANGED_DELAY,
    FILE,
    Again,
    Aside,
    Backoff,
    consequence,
    failed,
    reason_of,
)
from zfs_walk.sinks.errors import (
    ChangedError,
    FileRefusedError,
    SinkRefusedError,
    StoppedError,
    TransientError,
    UnreachableSinkError,
)

WHY = {"place": "there", "reason": "why"}


def action(tries: int = 0) -> Action:
    return Action(b"name", Kind.SEND, State.TAKEN, 1, 5, 0.0, 0.0, tries, "before", unsure=False)


def after(error: Exception, tries: int = 0) -> Again | Aside:
    return consequence(action(tries), error, tries=3, chance=0.5, now=100.0)


def test_pauses_double_up_to_the_longest_with_full_jitter() -> None:
    backoff = Backoff(first=2.0, most=10.0)
    assert [backoff.pause(failures, 0.5) for failures in (1, 2, 3, 4, 5)] == [1, 2, 4, 5, 5]
    assert backoff.pause(3, 0.0) == 0.0
    assert backoff.pause(10**9, 0.5) == 5.0


def test_what_may_pass_is_tried_again_later_and_later() -> None:
    error = TransientError(**WHY)
    assert after(error) == Again(100.0 + FILE.first / 2, str(error), counts=True)
    assert after(error, tries=1) == Again(100.0 + FILE.first, str(error), counts=True)


def test_after_its_tries_it_is_set_aside() -> None:
    error = TransientError(**WHY)
    assert after(error, tries=2) == Aside(str(error))
    assert failed(action(2), "why", tries=3, chance=0.0, now=0.0) == Aside("why")


def test_what_cant_succeed_is_set_aside_at_once() -> None:
    error = FileRefusedError(**WHY)
    assert after(error) == Aside(str(error))


@pytest.mark.parametrize("kind", [UnreachableSinkError, SinkRefusedError])
def test_a_trouble_of_the_sink_is_no_fault_of_the_file(kind: type[UnreachableSinkError]) -> None:
    error = kind(**WHY)
    assert after(error, tries=2) == Again(100.0, str(error), counts=False)


@pytest.mark.parametrize(
    ("waits", "pause"), [(0, CHANGED_DELAY), (-9, CHANGED_DELAY), (100, 25), (10_000, FILE.most)]
)
def test_a_file_that_changed_is_sent_again_soon_and_less_often_if_it_goes_on(
    waits: float, pause: float
) -> None:
    changed = replace(action(2), added=100.0 - waits)
    outcome = consequence(changed, ChangedError(), tries=3, chance=0.5, now=100.0)
    assert outcome == Again(100.0 + pause, "it changed while it was sent", counts=False)


@pytest.mark.parametrize("error", [StoppedError(), FileNotFoundError(errno.ENOENT, "")])
def test_what_was_stopped_or_vanished_has_not_failed(error: Exception) -> None:
    assert after(error, tries=2) == Again(100.0, "before", counts=False)


def test_trouble_with_our_own_state_is_no_fault_of_the_file() -> None:
    error = StateError(path="there", reason="why")
    assert after(error, tries=2) == Again(100.0 + FILE.first / 2, str(error), counts=False)


def test_an_error_of_the_file_system_is_told_in_words() -> None:
    error = PermissionError(errno.EACCES, "Permission denied", "secret")
    assert after(error) == Again(100.0 + FILE.first / 2, "Permission denied", counts=True)


def test_the_text_of_an_unknown_error_is_not_kept() -> None:
    assert reason_of(ValueError("secret")) == "a bug, please report it with the log: ValueError"
