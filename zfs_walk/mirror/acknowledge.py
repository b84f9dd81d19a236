"""Writes into the journal what has become of actions."""

from collections.abc import Iterator, Sequence

from zfs_walk.mirror.journal import Journal
from zfs_walk.mirror.plan import Later
from zfs_walk.mirror.records import Change, Done, Kind
from zfs_walk.mirror.result import Result
from zfs_walk.mirror.retry import Again, Aside


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
        journal.done([result.outcome for result in done if isinstance(result.outcome, Done)])
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
