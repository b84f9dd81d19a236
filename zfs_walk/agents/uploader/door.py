"""An uploader's own door: a socket in its state folder, for commands on its host."""

import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from zfs_walk.agents.uploader.clerk import Answer, Clerk
from zfs_walk.agents.uploader.doorman import Doorman
from zfs_walk.bus.doors import endpoint
from zfs_walk.bus.ends import Router, Waiter
from zfs_walk.bus.sockets import Bus
from zfs_walk.protocol.codec import BUS, MAJOR, MalformedError, UnsupportedError, WrongMajorError
from zfs_walk.protocol.messages import Error, Message

_ONLY_MINE: Final = 0o177

AT_ONCE: Final = 64
"""Messages that are taken in one turn of the agent's loop."""


class Door:
    """Open as long as the uploader runs; the thread of the agent's loop calls its methods.

    Args:
        bus: this process's context.
        folder: the agent's state folder, which is locked for its name.
        name: of the agent.
        waiter: woken when somebody is there.
        clerk: carries out what is wanted.
        wake: makes the loop take a turn; called from the clerk's thread.

    Raises:
        WrongUseError: the socket can't be bound.
    """

    def __init__(  # noqa: PLR0913, PLR0917 -- who is asked, where, and who answers
        self,
        bus: Bus,
        folder: Path,
        name: str,
        waiter: Waiter,
        clerk: Clerk,
        wake: Callable[[], None],
    ) -> None:
        self._clerk = clerk
        self._wake = wake
        self._waiter = waiter
        self._doorman = Doorman()
        self._answers: deque[Answer] = deque()
        with ExitStack() as stack:
            place = stack.enter_context(endpoint(folder, name))
            self._router = _bound(bus, place)
            stack.callback(self._router.close)
            self._at_close = stack.pop_all()
        waiter.add(self._router)

    def look(self) -> bool:
        """Hear who is there, and answer; returns whether somebody wants the uploader to end."""
        for _ in range(AT_ONCE):
            arrived = self._router.receive()
            if arrived is None:
                break
            route, _, frames = arrived
            self._hear(route, frames)
        while self._answers:
            self._say(self._doorman.done(self._answers.popleft()))
        return self._doorman.leave

    def close(self) -> None:
        """Nobody is heard any more."""
        self._waiter.remove(self._router)
        self._at_close.close()

    def _hear(self, route: bytes, frames: list[bytes]) -> None:
        try:
            message: Message = BUS.decode(frames)
        except WrongMajorError as error:
            refusal = Error("version", f"you speak {error.args[0]}, this uploader {MAJOR}")
        except (MalformedError, UnsupportedError) as error:
            refusal = Error("malformed", str(error)[:4096])
        else:
            self._say(self._doorman.hear(route, message, time.monotonic()))
            orders, self._doorman.orders = self._doorman.orders, []
            for order in orders:
                self._clerk.serve(order, self._answer)
            return
        self._say([(route, refusal)])

    def _answer(self, answer: Answer) -> None:
        self._answers.append(answer)
        self._wake()

    def _say(self, messages: list[tuple[bytes, Message]]) -> None:
        for route, message in messages:
            # Whoever is gone, or reads nothing, asks again if the answer is still wanted.
            self._router.send(route, BUS.encode(message))


def _bound(bus: Bus, place: str) -> Router:
    # The folder may be open to others; this is open to its user from the first moment on.
    before = os.umask(_ONLY_MINE)
    try:
        return bus.router(place)
    finally:
        os.umask(before)
