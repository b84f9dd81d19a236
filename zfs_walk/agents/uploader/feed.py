"""What has become of actions, until somebody is told; no I/O, no clock."""

from collections.abc import Sequence
from threading import Lock
from typing import Final

from zfs_walk.agents.uploader.telling import MOST
from zfs_walk.mirror.story import Event
from zfs_walk.protocol.messages import ActionNews
from zfs_walk.protocol.uploads import MOST_ACTIONS

MOST_BYTES: Final = 4 << 20
"""Bytes of names and reasons in one message, which takes 16 MiB."""

MOST_KEPT: Final = 20_000
"""Actions: 10 MB of them. More come in half a second only while whoever takes them is stuck."""


class ActionFeed:
    """Collects, from any thread: of each action the last change.

    Attributes:
        missed: some were forgotten since the last `take`, for want of room.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._news: dict[tuple[str, int], Event] = {}
        self.missed = False

    def put(self, mapping: str, events: Sequence[Event]) -> bool:
        """Actions of a mapping have changed; returns whether there is enough for a message."""
        with self._lock:
            for event in events:
                # Where it stands now comes after what has changed before.
                self._news.pop((mapping, event.number), None)
                self._news[mapping, event.number] = event
            while len(self._news) > MOST_KEPT:
                del self._news[next(iter(self._news))]
                self.missed = True
            return len(self._news) >= MOST_ACTIONS

    def take(self) -> list[list[ActionNews]]:
        """All of it, in the order of the changes, message by message."""
        with self._lock:
            news, self._news = self._news, {}
            self.missed = False
        messages: list[list[ActionNews]] = []
        size = MOST_BYTES
        for (mapping, _), event in news.items():
            told = _told(mapping, event)
            needed = len(told.path) + 4 * len(told.detail)
            if size + needed > MOST_BYTES or len(messages[-1]) == MOST_ACTIONS:
                messages.append([])
                size = 0
            messages[-1].append(told)
            size += needed
        return messages


def _told(mapping: str, event: Event) -> ActionNews:
    return ActionNews(
        mapping=mapping,
        number=event.number,
        path=event.path,
        kind=event.kind.value,
        stage=event.stage.value,
        size=max(0, event.size),
        tries=event.tries,
        detail=event.detail[:MOST],
        queued_ns=max(0, round(event.queued * 1e9)),
        time_ns=max(0, round(event.time * 1e9)),
    )
