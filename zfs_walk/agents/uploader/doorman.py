"""What an uploader says to those who come to its own door. A core: no socket, no clock.

They speak the bus's protocol, as clients of a broker do; whoever can open the door is the user that
the uploader runs as, and may do everything.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from zfs_walk.agents.uploader.clerk import Answer, Order
from zfs_walk.protocol.messages import (
    PROTO_MAX,
    Done,
    Drain,
    Error,
    Hello,
    Message,
    Queue,
    QueueRows,
    Steer,
    Welcome,
)
from zfs_walk.protocol.records import NO_ENDPOINTS
from zfs_walk.protocol.uploads import ordered, page

REMEMBERED: Final = 256
"""Requests whose answers are kept for those who ask again, as an answer may have got lost."""

_NEVER: Final = 2**32 - 1


@dataclass(slots=True)
class _Asked:
    """A request: who waits for its answer, and the answer once there is one."""

    route: bytes
    order: int
    answer: Message | None = None


class Doorman:
    """Answers those at the door.

    Attributes:
        orders: what is to be carried out since it was last looked.
        leave: somebody wants the uploader to end.
    """

    def __init__(self) -> None:
        self._asked: OrderedDict[str, _Asked] = OrderedDict()
        self._requests: dict[int, str] = {}
        self._last = 0
        self.orders: list[Order] = []
        self.leave = False

    def hear(self, route: bytes, message: Message, now: float) -> list[tuple[bytes, Message]]:
        """Somebody says something.

        Args:
            route: where an answer goes.
            message: what was said.
            now: monotonic seconds.

        Returns:
            What is to be said at once, and to whom.
        """
        match message:
            case Hello():
                return [(route, _welcome(now))]
            case Drain():
                self.leave = True
                return [(route, Done(message.request, "its transfers stop"))]
            case Steer() | Queue():
                return self._request(route, message)
            case _:
                request = getattr(message, "request", "")
                detail = "an uploader's door knows no such request; ask a broker"
                return [(route, Error("unsupported", detail, request))]

    def done(self, answer: Answer) -> list[tuple[bytes, Message]]:
        """An order was carried out, or a look is done."""
        request = self._requests.pop(answer.id, "")
        asked = self._asked.get(request)
        if asked is None:
            return []
        asked.answer = _for_client(request, answer)
        return [(asked.route, asked.answer)]

    def _request(self, route: bytes, message: Steer | Queue) -> list[tuple[bytes, Message]]:
        known = self._asked.get(message.request)
        if known is not None:
            known.route = route
            return [] if known.answer is None else [(route, known.answer)]
        self._last += 1
        self._asked[message.request] = _Asked(route, self._last)
        self._requests[self._last] = message.request
        while len(self._asked) > REMEMBERED:
            _, forgotten = self._asked.popitem(last=False)
            self._requests.pop(forgotten.order, None)
        self.orders.append(ordered(self._last, message))
        return []


def _for_client(request: str, answer: Answer) -> Message:
    if isinstance(answer, QueueRows):
        return page(request, answer)
    if answer.ok:
        return Done(request, answer.detail)
    return Error("refused", answer.detail, request)


def _welcome(now: float) -> Welcome:
    """There is no session: nothing is leased, and nobody must send heartbeats."""
    return Welcome(
        0, 0, PROTO_MAX, round(now * 1000), _NEVER, _NEVER, _NEVER, 1, NO_ENDPOINTS, (), ()
    )
