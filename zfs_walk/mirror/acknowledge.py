"""Writes into the journal what has become of actions."""

from collections.abc import Iterator, Sequence
from typing import Final

from zfs_walk.mirror.handling import What
from zfs_walk.mirror.journal import Journal
from zfs_walk.mirror.plan import Later
from zfs_walk.mirror.records import Change, Done, Kind
from zfs_walk.mirror.result import Result
from zfs_walk.mirror.retry import Again, Aside
from zfs_walk.mirror.story import Ended, Stage

_STAGES: Final = {
    None: Stage.UNCHANGED,
    What.SENT: Stage.SENT,
    What.MOVED: Stage.MOVED,
    What.DELETED: Stage.DELETED,
}
"""How an action has ended, by what was done."""


def acknowledge(journal: Journal, results: Sequence[Result], later: float) -> Iterator[Result]:
    """Write down how tries went, and give each result once it is durable.

    What was given must not be written again: a change may have come since, and the row that it
    made would be taken for the one that is meant.

    Args:
        journal: that the actions were taken from.
        results: of the tries.
        later: when what turned out to be a deletion may be done, seconds since the epoch.

    Raises:
        ZfsWalkError: it can't be written; those that were not given are still to be.
    """
    done = [result for result in results if isinstance(result.outcome, Done)]
    if done:
        ended = {result.action.path: Ended(_STAGES[result.what], result.told) for result in done}
        journal.done([r.outcome for r in done if isinstance(r.outcome, Done)], ended)
        yield from done
    for result in results:
        action = result.action
        match result.outcome:
            case Done():
                continue
            case Again(not_before, reason, counts):
                journal.again(action, not_before, reason, counts, unsure=result.unsure)
            case Aside(reason):
                journal.set_aside(action, reason)
            case Later():
                journal.put([Change(action.path, Kind.DELETE, 0, later)])
                journal.again(action, later, "", count=False)
        yield result
