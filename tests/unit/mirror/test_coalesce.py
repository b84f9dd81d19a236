"""The life of an action, step by step."""

from dataclasses import replace

import pytest

from zfs_walk.mirror import coalesce
from zfs_walk.mirror.records import Action, Change, Kind, State

NOW = 1000.0
SEND = Change(b"a", Kind.SEND, 5, NOW + 2)
DELETE = Change(b"a", Kind.DELETE, 0, NOW + 9)


def action(kind: Kind = Kind.SEND, state: State = State.READY, generation: int = 3) -> Action:
    return Action(
        b"a", kind, state, generation, 7, 900.0, 901.0, 4, "no room", unsure=True
    )  # fmt: skip


def test_the_first_change_makes_an_action() -> None:
    made = coalesce.queued(None, SEND, NOW)
    expected = Action(
        b"a", Kind.SEND, State.READY, 1, 5, NOW, NOW + 2, 0, "", unsure=False
    )  # fmt: skip
    assert made == expected


@pytest.mark.parametrize("change", [SEND, DELETE])
@pytest.mark.parametrize("kind", Kind)
def test_a_later_change_takes_its_place_and_keeps_its_age(kind: Kind, change: Change) -> None:
    assert coalesce.queued(action(kind), change, NOW) == Action(
        b"a", change.kind, State.READY, 4, change.size, 900.0, change.not_before, 0, "", unsure=True
    )


@pytest.mark.parametrize("change", [SEND, DELETE])
def test_what_is_in_hand_stays_in_hand_with_a_new_generation(change: Change) -> None:
    after = coalesce.queued(action(state=State.TAKEN), change, NOW)
    assert (after.state, after.generation, after.kind) == (State.TAKEN, 4, change.kind)


@pytest.mark.parametrize("change", [SEND, DELETE])
def test_what_was_aside_is_tried_again_after_a_change(change: Change) -> None:
    after = coalesce.queued(action(state=State.ASIDE), change, NOW)
    assert (after.state, after.tries, after.error) == (State.READY, 0, "")


def test_a_deletion_that_is_held_stays_held_when_it_is_seen_again() -> None:
    after = coalesce.queued(action(Kind.DELETE, State.HELD), DELETE, NOW)
    assert (after.state, after.generation) == (State.HELD, 4)


def test_a_deletion_that_is_held_is_over_when_the_file_is_there_again() -> None:
    after = coalesce.queued(action(Kind.DELETE, State.HELD), SEND, NOW)
    assert (after.state, after.kind) == (State.READY, Kind.SEND)


def test_a_deletion_stays_confirmed_only_as_long_as_the_file_is_gone() -> None:
    confirmed = coalesce.confirmed(action(Kind.DELETE, State.HELD))
    assert (confirmed.state, confirmed.confirmed) == (State.READY, True)
    assert coalesce.queued(confirmed, DELETE, NOW).confirmed
    there = coalesce.queued(confirmed, SEND, NOW)
    assert not there.confirmed
    assert not coalesce.queued(there, DELETE, NOW).confirmed


def test_a_generation_that_is_done_ends_its_action() -> None:
    assert coalesce.finished(action(state=State.TAKEN), 3, NOW) is None


def test_an_older_generation_that_is_done_leaves_the_newer_one_to_be_done() -> None:
    row = action(state=State.TAKEN, generation=4)
    expected = replace(row, state=State.READY, added=NOW, unsure=False)
    assert coalesce.finished(row, 3, NOW) == expected


def test_a_failed_try_counts_and_waits() -> None:
    taken = replace(action(state=State.TAKEN), unsure=False)
    outcome = coalesce.put_off(taken, NOW + 60, "reset", count=True, unsure=True)
    expected = replace(
        taken, state=State.READY, not_before=NOW + 60, tries=5, error="reset", unsure=True
    )
    assert coalesce.given_back(taken, outcome) == expected


def test_what_is_put_off_without_a_try_does_not_count() -> None:
    taken = replace(action(state=State.TAKEN), unsure=False)
    outcome = coalesce.put_off(taken, NOW, "offline", count=False, unsure=False)
    assert (outcome.tries, outcome.unsure) == (4, False)


@pytest.mark.parametrize("outcome", ["put off", "held", "aside"])
def test_whatever_became_of_an_older_generation_the_newer_one_is_ready(outcome: str) -> None:
    taken = action(state=State.TAKEN)
    row = coalesce.queued(taken, SEND, NOW)
    after = {
        "put off": coalesce.put_off(taken, NOW + 60, "reset", count=True, unsure=False),
        "held": coalesce.held(taken),
        "aside": coalesce.put_aside(taken, "no such name"),
    }[outcome]
    assert coalesce.given_back(row, after) == replace(row, state=State.READY)


def test_what_failed_in_the_middle_leaves_the_newer_generation_unsure() -> None:
    taken = replace(action(state=State.TAKEN), unsure=False)
    row = coalesce.queued(taken, SEND, NOW)
    outcome = coalesce.put_off(taken, NOW, "reset", count=True, unsure=True)
    assert coalesce.given_back(row, outcome).unsure


def test_what_was_in_hand_at_a_kill_is_ready_and_unsure() -> None:
    taken = replace(action(state=State.TAKEN), unsure=False)
    assert coalesce.recovered(taken) == replace(taken, state=State.READY, unsure=True)


def test_a_retry_begins_at_once_and_with_no_tries() -> None:
    after = coalesce.retried(action(state=State.ASIDE))
    assert (after.state, after.tries, after.not_before) == (State.READY, 0, 0.0)
