"""Asks the broker for a SNAPSHOT once a second: its answer is the sign of life that counts."""

import logging
import os
import threading
import time
from dataclasses import dataclass
from typing import Final

from zfs_walk.bus.client import Client
from zfs_walk.errors import InternalError, ZfsWalkError
from zfs_walk.protocol.messages import Snapshot, SnapshotReply

LOG = logging.getLogger("zfs_walk.gateway")

EVERY: Final = 1.0
"""Seconds between two questions."""

PATIENCE: Final = 3.0
"""Seconds that an answer may take, and that the last one may be old: a broker's loop turns four
times in a heartbeat, and no work of it takes a second."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The last answer.

    Attributes:
        reply: it, or None as long as there was none.
        age: seconds since it came, or since the broker started the gateway.
    """

    reply: SnapshotReply | None
    age: float

    @property
    def fresh(self) -> bool:
        """The broker is alive."""
        return self.age < PATIENCE


class Watch:
    """Asks from a thread of its own; `seen` may be called from any."""

    def __init__(self, client: Client) -> None:
        """Begin; that the broker has started this process is its first sign of life.

        Args:
            client: of the broker, from now on this object's own.
        """
        self._client = client
        self._last: tuple[SnapshotReply | None, float] = (None, time.monotonic())
        self._thread = threading.Thread(target=self._ask_or_end, name="watch", daemon=True)
        self._thread.start()

    def seen(self) -> Seen:
        """The last answer and its age."""
        reply, heard = self._last
        return Seen(reply, time.monotonic() - heard)

    def _ask_or_end(self) -> None:
        """Without this thread the gateway would call a broker dead that is not: it ends instead."""
        try:
            self._ask_for_ever()
        except BaseException:
            LOG.exception("the gateway can't watch its broker")
            os._exit(InternalError.exit_code)

    def _ask_for_ever(self) -> None:
        silent = False
        while True:
            began = time.monotonic()
            try:
                reply: SnapshotReply = self._client.ask(Snapshot)
            except ZfsWalkError as error:
                if not silent:
                    LOG.warning("%s", error)
                silent = True
            else:
                if silent:
                    LOG.warning("the broker answers again")
                silent = False
                self._last = reply, time.monotonic()
            time.sleep(max(0.0, began + EVERY - time.monotonic()))
