"""What clients order agents to do, or ask them. The agent's answer is the client's."""

from zfs_walk.broker.journal import Journal
from zfs_walk.broker.state import Order, Session, SessionState, State
from zfs_walk.protocol.messages import (
    UPLOADER,
    Command,
    CommandDone,
    Done,
    Drain,
    Error,
    Queue,
    QueueOrder,
    QueueRows,
    Resize,
    Steer,
    SteerOrder,
)
from zfs_walk.protocol.uploads import ordered, page

Request = Drain | Resize | Steer | Queue

PATIENCE = 3
"""Heartbeats after which whoever gave an order is told that the agent has not answered yet."""

SHOWN = 20
"""Agents that an error lists."""


class Orders:
    """COMMANDs that somebody waits for; a session keeps its own until they are done."""

    def __init__(self, state: State, journal: Journal) -> None:
        self._state = state
        self._journal = journal

    def on_request(self, route: bytes, message: Request, now: float) -> None:
        """Order the agent that is meant, or say why there is none."""
        session = self._find(route, message)
        if session is None:
            return
        patience = now + PATIENCE * self._state.heartbeat
        for order in session.orders.values():
            if order.request == message.request:
                # Its client was in doubt whether the request had come.
                order.asker, order.deadline = route, patience
                return
        command = _order(message, self._journal.next_id())
        number = command.id
        session.orders[number] = Order(command, route, message.request, patience)
        self._state.send(session.route, command)

    def _find(self, route: bytes, message: Request) -> Session | None:
        wanted = UPLOADER if isinstance(message, Steer | Queue) else ""
        there = [
            session
            for session in self._state.sessions.values()
            if session.state is not SessionState.LOST and wanted in {"", session.role}
        ]
        found = [
            session
            for session in there
            if session.name == message.name and message.host in {"", session.host}
        ]
        if len(found) == 1:
            return found[0]
        where = f" on {message.host}" if message.host else ""
        if found:
            detail = f"{_list(found)} have that name; say which with --host"
            self._state.refuse(route, message, "ambiguous", detail)
        else:
            what = wanted or "agent"
            detail = f"no {what} {message.name}{where} is there; there are: {_list(there)}"
            self._state.refuse(route, message, "no-such-agent", detail)
        return None

    def on_done(self, session: Session, done: CommandDone) -> None:
        """The agent has done as it was ordered, or says why not."""
        order = session.orders.pop(done.id, None)
        if order is None:
            return
        command = order.command
        if done.ok and isinstance(command, Command) and command.name == "resize":
            session.capacity = command.workers
        if done.ok:
            self._state.send(order.asker, Done(order.request, done.detail))
        else:
            self._refuse(order, "refused", f"{session.name} on {session.host}: {done.detail}")

    def on_rows(self, session: Session, rows: QueueRows) -> None:
        """The agent tells what it was asked."""
        order = session.orders.pop(rows.id, None)
        if order is not None:
            self._state.send(order.asker, page(order.request, rows))

    def ended(self, session: Session) -> None:
        """The agent is gone: what it was asked to do it has done now, or never will."""
        for order in session.orders.values():
            if isinstance(order.command, Command) and order.command.name == "drain":
                self._state.send(order.asker, Done(order.request, "it has ended"))
            else:
                detail = f"{session.name} on {session.host} has ended"
                self._refuse(order, "no-such-agent", detail)

    def repeat(self, session: Session) -> None:
        """An agent that is there hears again what it has not answered."""
        for order in session.orders.values():
            self._state.send(session.route, order.command)

    def tick(self, now: float) -> None:
        """Tell those who have waited long enough; an order stands, a question does not."""
        for session in self._state.sessions.values():
            for number, order in list(session.orders.items()):
                if now < order.deadline or not order.asker:
                    continue
                detail = f"{session.name} on {session.host} does not answer"
                if isinstance(order.command, QueueOrder):
                    del session.orders[number]
                else:
                    detail += "; the order stands"
                self._refuse(order, "no-answer", detail)
                order.asker = b""

    def _refuse(self, order: Order, code: str, detail: str) -> None:
        self._state.send(order.asker, Error(code, detail, order.request))


def _order(message: Request, number: int) -> Command | SteerOrder | QueueOrder:
    match message:
        case Drain():
            return Command(number, "drain")
        case Resize():
            return Command(number, "resize", workers=message.workers)
        case Steer() | Queue():
            return ordered(number, message)


def _list(sessions: list[Session]) -> str:
    names = sorted(f"{session.name} on {session.host}" for session in sessions)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) or "none") + more
