"""Carries out what clients want of an uploader's mirrors, and tells them what is queued."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from zfs_walk.agents.uploader.telling import MOST, mapping_statistics, transfer_line
from zfs_walk.errors import WrongUseError, ZfsWalkError
from zfs_walk.mirror.mirror import Mirror
from zfs_walk.mirror.pace import Limit
from zfs_walk.mirror.records import Action, State
from zfs_walk.protocol.messages import (
    ActionLine,
    CommandDone,
    QueueOrder,
    QueueRows,
    SteerOrder,
)
from zfs_walk.protocol.uploads import MOST_ACTIONS

MOST_BYTES: Final = 4 << 20
"""Bytes of names and reasons in one answer: a message takes 16 MiB."""

MOST_TRANSFERS: Final = 4_096

Order = SteerOrder | QueueOrder
Answer = CommandDone | QueueRows


class Clerk:
    """Does one thing after another, in a thread of its own: a queue of a million takes its time.

    Args:
        mirrors: of the uploader.
        limit: that they share.
    """

    def __init__(self, mirrors: Iterable[Mirror], limit: Limit) -> None:
        self._mirrors = {mirror.name: mirror for mirror in mirrors}
        self._limit = limit
        self._thread = ThreadPoolExecutor(1, "clerk")

    def serve(self, order: Order, answer: Callable[[Answer], None]) -> None:
        """Carry out an order; ``answer`` is called from the clerk's thread, or from this one."""
        try:
            self._thread.submit(self._serve, order, answer)
        except RuntimeError:  # closed
            answer(CommandDone(order.id, ok=False, detail="the uploader is leaving"))

    def close(self) -> None:
        """Finish what was asked for; the mirrors are not touched any more."""
        self._thread.shutdown()

    def _serve(self, order: Order, answer: Callable[[Answer], None]) -> None:
        try:
            if isinstance(order, QueueOrder):
                answer(self._rows(order))
                return
            done = CommandDone(order.id, ok=True, detail=self._steer(order)[:MOST])
        except ZfsWalkError as error:
            done = CommandDone(order.id, ok=False, detail=str(error)[:MOST])
        except Exception as error:  # noqa: BLE001 -- whoever asked is told, and the next one served
            done = CommandDone(order.id, ok=False, detail=f"a bug in zfs_walk: {error!r}"[:MOST])
        answer(done)

    def _chosen(self, name: str) -> dict[str, Mirror]:
        if not name:
            return self._mirrors
        if name not in self._mirrors:
            known = ", ".join(self._mirrors)
            raise WrongUseError(reason=f"there is no mapping {name}; there are {known}")
        return {name: self._mirrors[name]}

    # ------------------------------------------------------------------ orders

    def _steer(self, order: SteerOrder) -> str:
        """Do it; returns what was done, in words."""
        chosen = self._chosen(order.mapping)
        if order.verb == "limit" and not order.mapping:
            self._limit.change(order.rate or None)
            return f"all together {_rate(order.rate)}"
        if order.verb == "forget" and not order.paths:
            raise WrongUseError(reason="which actions are to be forgotten? `reset` takes all")
        return "; ".join(f"{name}: {_do(mirror, order)}" for name, mirror in chosen.items())

    # ------------------------------------------------------------------ looks

    def _rows(self, order: QueueOrder) -> QueueRows:
        chosen = self._chosen(order.mapping)
        known = [mirror.statistics() for mirror in chosen.values()]
        transfers = (
            transfer_line(each.name, one)
            for each in known
            if each.handler is not None
            for one in each.handler.active
        )
        limit = min(order.limit, MOST_ACTIONS)
        lines = _bounded(_actions(chosen, order, limit + 1))
        return QueueRows(
            order.id,
            time.time_ns(),
            len(lines) > limit or _size(lines) > MOST_BYTES,
            tuple(map(mapping_statistics, known)),
            tuple(itertools.islice(transfers, MOST_TRANSFERS)),
            tuple(lines[:limit]),
        )


def _do(mirror: Mirror, order: SteerOrder) -> str:  # noqa: PLR0911 -- a line for each verb
    match order.verb:
        case "retry":
            return f"{mirror.wishes.retry(order.paths or None)} actions are tried again"
        case "forget":
            return f"{mirror.wishes.forget(order.paths)} actions are forgotten"
        case "pause":
            mirror.wishes.pause()
            return "paused"
        case "continue":
            mirror.wishes.resume()
            return "goes on"
        case "confirm":
            return f"{mirror.wishes.confirm()} deletions are confirmed"
        case "rescan":
            mirror.wishes.rescan()
            return "both sides are compared"
        case "reset":
            return f"{mirror.wishes.reset()} actions are forgotten, both sides are compared"
        case _:
            mirror.wishes.change_limit(order.rate)
            return _rate(order.rate)


def _rate(rate: int) -> str:
    return f"{rate} bytes a second" if rate else "no limit"


def _actions(mirrors: Mapping[str, Mirror], order: QueueOrder, limit: int) -> Iterator[ActionLine]:
    """Actions past the order's, so many at most."""
    state = State(order.state) if order.state else None
    left = limit
    for name in sorted(mirrors):
        if name < order.since or not left:
            continue
        after = order.after if name == order.since else b""
        for action in mirrors[name].wishes.actions(state, after, left):
            left -= 1
            yield _line(name, action)


def _line(mapping: str, action: Action) -> ActionLine:
    return ActionLine(
        mapping,
        action.path,
        action.kind.value,
        action.state.value,
        max(0, action.size),
        max(0, round(action.added * 1e9)),
        max(0, round(action.not_before * 1e9)),
        action.tries,
        action.error[:MOST],
    )


def _bounded(lines: Iterator[ActionLine]) -> list[ActionLine]:
    """As many as an answer has room for, and the one that is too many."""
    taken: list[ActionLine] = []
    size = 0
    for line in lines:
        taken.append(line)
        size += _bytes(line)
        if size > MOST_BYTES:
            break
    return taken


def _size(lines: Iterable[ActionLine]) -> int:
    return sum(map(_bytes, lines))


def _bytes(line: ActionLine) -> int:
    return len(line.path) + 4 * len(line.error)
