"""Publishes what becomes of actions, while somebody listens."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from zfs_walk.agents.uploader.feed import MOST_BYTES, ActionFeed
from zfs_walk.agents.uploader.telling import transfer_line
from zfs_walk.bus.publisher import Publisher
from zfs_walk.mirror.mirror import Mirror
from zfs_walk.mirror.story import Event
from zfs_walk.protocol.messages import ActionNews, TransferLine, UploaderActions
from zfs_walk.protocol.uploads import MOST_PUBLISHED, actions_topic

EVERY: Final = 0.5
"""Seconds between two messages, unless there is enough for one before."""


class Broadcast:
    """Listens to mirrors as long as somebody listens to it; one thread calls its methods.

    Args:
        mirrors: of the uploader.
        publisher: of this process.
        wake: makes that thread call `turn`; called from threads of the mirrors.
    """

    def __init__(
        self, mirrors: Sequence[Mirror], publisher: Publisher, wake: Callable[[], None]
    ) -> None:
        self._mirrors = mirrors
        self._publisher = publisher
        self._wake = wake
        self._feed = ActionFeed()
        self._listening = False
        self._full = False
        self._due = 0.0
        self._sending = False

    def turn(self, now: float) -> float:
        """Publish what there is, if it is time.

        Args:
            now: monotonic seconds.

        Returns:
            When the next call is due.

        Raises:
            ZfsWalkError: the state of a mirror can't be used.
        """
        wanted = self._publisher.wants(self._topic)
        if wanted != self._listening:
            self._listen(wanted=wanted)
        if not wanted:
            return now + 2 * EVERY
        if now >= self._due or self._full:
            self._full = False
            self._due = now + EVERY
            self._publish()
        return self._due

    def close(self) -> None:
        """Publish what happened last; the mirrors have ended."""
        if self._listening:
            self._publish()

    @property
    def _topic(self) -> bytes:
        return actions_topic(self._publisher.origin.host)

    def _listen(self, *, wanted: bool) -> None:
        for mirror in self._mirrors:
            mirror.hear(partial(self._hear, mirror.name) if wanted else None)
        self._listening = wanted
        if wanted:
            # Whoever listened before, and comes back, has missed something.
            self._publisher.pass_over(self._topic)
        else:
            self._feed.take()

    def _hear(self, mapping: str, events: Sequence[Event]) -> None:
        if self._feed.put(mapping, events) and not self._full:
            self._full = True
            self._wake()

    def _publish(self) -> None:
        transfers = self._transfers()
        missed = self._feed.missed
        messages = self._feed.take()
        if missed:
            self._publisher.skip(self._topic, 1)
        if not messages and (transfers or self._sending):
            messages = [[]]
        self._sending = bool(transfers)
        for actions in messages:
            self._say(tuple(actions), transfers)

    def _transfers(self) -> tuple[TransferLine, ...]:
        """As many as a message has room for."""
        lines: list[TransferLine] = []
        room = MOST_BYTES
        for mirror in self._mirrors:
            for one in mirror.transferring():
                room -= len(one.path)
                if room < 0 or len(lines) == MOST_PUBLISHED:
                    return tuple(lines)
                lines.append(transfer_line(mirror.name, one))
        return tuple(lines)

    def _say(self, actions: tuple[ActionNews, ...], transfers: tuple[TransferLine, ...]) -> None:
        origin, now = self._publisher.origin, time.time_ns()
        self._publisher.publish(
            self._topic, lambda seq: UploaderActions(origin, seq, now, actions, transfers)
        )
