"""Which items a thief gets (docs/protocol.md rule 5)."""

import heapq
from collections.abc import Iterable

from zfs_walk.agents.walker.estimate import TreeEstimate
from zfs_walk.agents.walker.frontier import Frontier

WORTH = 0.02
"""Seconds of work under which giving items away is not worth the messages."""

MOST_GIVEN = 32_768
"""Items that one steal takes at most, as many as half a commit carries."""

Groups = tuple[tuple[int, ...], ...]


def choose(  # noqa: PLR0913 -- what a choice depends on, no more
    frontier: Frontier,
    estimate: TreeEstimate,
    thieves: tuple[int, ...],
    own: int,
    *,
    known_first: bool,
    parts: bool,
    sends: bool,
) -> Groups:
    """The numbers of the items for each thief, or nothing if it is not worth it.

    Args:
        frontier: where they wait.
        estimate: what they promise.
        thieves: how many workers each thief has.
        own: how many workers this agent has.
        known_first: items that the broker knows will do if they are worth it: no rows are flushed.
        parts: parts of wide directories may be given.
        sends: parts of wide directories are files to be sent: listing them anew costs nothing
            beside that.
    """
    if frontier.waiting:
        give = _oldest(frontier, estimate, sum(thieves), own, known_first=known_first)
        if not give or _seconds(frontier, estimate, give) < WORTH:
            return ()
        return _deal(give, thieves)
    if parts:
        for wide in frontier.wide.values():
            share = 0.0 if sends else wide.listing_share
            groups = wide.giveable(len(thieves), frontier.died_over, share)
            if groups:
                return tuple(tuple(item.n for item in group) for group in groups)
    return ()


def _oldest(
    frontier: Frontier, estimate: TreeEstimate, thieves: int, own: int, *, known_first: bool
) -> list[int]:
    """The oldest of what waits, at least one; known items alone if they will do.

    A half for one thief with as many workers; each gets what its workers are worth.
    """
    count = max(1, round(len(frontier.waiting) * thieves / max(1, thieves + own)))
    if not frontier.tasks:
        count = min(count, len(frontier.waiting) - 1)
    oldest = frontier.oldest(min(count, MOST_GIVEN))
    known = [n for n in oldest if n in frontier.known]
    if known_first and known and _seconds(frontier, estimate, known) >= WORTH:
        return known
    return oldest


def _deal(give: list[int], thieves: tuple[int, ...]) -> Groups:
    """Deal items in proportion to the thieves' workers, the oldest first."""
    groups: list[list[int]] = [[] for _ in thieves]
    turns = [(0.0, i) for i in range(len(thieves))]
    for n in give:
        _, i = turns[0]
        groups[i].append(n)
        heapq.heapreplace(turns, (len(groups[i]) / max(1, thieves[i]), i))
    return tuple(tuple(group) for group in groups if group)


def _seconds(frontier: Frontier, estimate: TreeEstimate, numbers: Iterable[int]) -> float:
    return estimate.seconds(_depth(frontier.items[n].path) for n in numbers)


def _depth(path: bytes) -> int:
    return path.count(b"/") + 1 if path else 0
