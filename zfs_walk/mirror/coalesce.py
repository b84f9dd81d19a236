"""How an action changes: the whole life of a row of the queue, without the queue.

An action's state is changed by these functions only. Whoever has taken an action says which
generation of it is meant; if a change came meanwhile, the row has a newer one and is taken again,
whatever became of the older.
"""

from dataclasses import replace

from zfs_walk.mirror.records import Action, Change, Kind, State


def queued(before: Action | None, change: Change, now: float) -> Action:
    """A change was seen.

    It is one row a name, so a later change takes the place of an earlier one. What a transfer has
    in hand stays there; that a deletion waits for somebody is not undone by seeing it again.

    Args:
        before: what is queued of this name; None: nothing.
        change: what was seen.
        now: seconds since the epoch.
    """
    if before is None:
        return Action(
            change.path, change.kind, State.READY, 1, change.size, now, change.not_before, 0, "",
            unsure=False,
        )  # fmt: skip
    state = before.state
    again = change.kind is before.kind is Kind.DELETE
    if state is State.ASIDE or (state is State.HELD and not again):
        state = State.READY
    return replace(
        before,
        kind=change.kind,
        state=state,
        generation=before.generation + 1,
        size=change.size,
        not_before=change.not_before,
        tries=0,
        error="",
        confirmed=before.confirmed and again,
    )


def taken(action: Action) -> Action:
    """A transfer has it in hand."""
    return replace(action, state=State.TAKEN)


def finished(action: Action, generation: int, now: float) -> Action | None:
    """A generation is done; returns what is still to be done, None: nothing."""
    if action.generation == generation:
        return None
    return replace(action, state=State.READY, added=now, unsure=False)


def moved_away(action: Action) -> Action | None:
    """What had its name on the other side is not there any more: there is nothing to delete."""
    if action.kind is Kind.DELETE and action.state in {State.READY, State.HELD}:
        return None
    return action


def given_back(row: Action, outcome: Action) -> Action:
    """A transfer gives back what it had taken.

    Args:
        row: what is queued now.
        outcome: what becomes of the generation that was taken.
    """
    if row.generation == outcome.generation:
        return outcome
    return replace(row, state=State.READY, unsure=row.unsure or outcome.unsure)


def put_off(action: Action, not_before: float, error: str, *, count: bool, unsure: bool) -> Action:
    """It is to be taken again, not before so many seconds since the epoch."""
    return replace(
        action,
        state=State.READY,
        not_before=not_before,
        tries=action.tries + count,
        error=error,
        unsure=unsure or action.unsure,
    )


def held(action: Action) -> Action:
    """The deletion waits until somebody confirms it."""
    return replace(action, state=State.HELD)


def put_aside(action: Action, error: str) -> Action:
    """It failed for good; perhaps in the middle."""
    return replace(action, state=State.ASIDE, tries=action.tries + 1, error=error, unsure=True)


def confirmed(action: Action) -> Action:
    """Somebody has confirmed a deletion that was held."""
    return replace(action, state=State.READY, not_before=0.0, confirmed=True)


def retried(action: Action) -> Action:
    """Somebody wants it tried once more; why it was aside stays to be read until then."""
    return replace(action, state=State.READY, not_before=0.0, tries=0)


def recovered(action: Action) -> Action:
    """The process that had it in hand has ended without saying how it went."""
    return replace(action, state=State.READY, unsure=True)
