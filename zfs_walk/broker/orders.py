"""What clients order agents to do: drain, resize. The agent's answer is the client's."""

from zfs_walk.broker.journal import Journal
from zfs_walk.broker.state import Order, Session, SessionState, State
from zfs_walk.protocol.messages import Command, CommandDone, Done, Drain, Error, Resize

PATIENCE = 3
"""Heartbeats after which whoever gave an order is told that the agent has not answered yet."""

SHOWN = 20
"""Agents that an error lists."""


class Orders:
    """COMMANDs that somebody waits for; a session keeps its own until they are done."""

    def __init__(self, state: State, journal: Journal) -> None:
        self._state = state
        self._journal = journal

    def on_request(self, route: bytes, message: Drain | Resize, now: float) -> None:
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
        number = self._journal.next_id()
        if isinstance(message, Drain):
            command = Command(number, "drain")
        else:
            command = Command(number, "resize", workers=message.workers)
        session.orders[number] = Order(command, route, message.request, patience)
        self._state.send(session.route, command)

    def _find(self, route: bytes, message: Drain | Resize) -> Session | None:
        there = [s for s in self._state.sessions.values() if s.state is not SessionState.LOST]
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
            detail = f"no agent {message.name}{where} is there; there are: {_list(there)}"
            self._state.refuse(route, message, "no-such-agent", detail)
        return None

    def on_done(self, session: Session, done: CommandDone) -> None:
        """The agent has done as it was ordered, or says why not."""
        order = session.orders.pop(done.id, None)
        if order is None:
            return
        if done.ok and order.command.name == "resize":
            session.capacity = order.command.workers
        if done.ok:
            self._state.send(order.asker, Done(order.request, done.detail))
        else:
            self._refuse(order, "refused", f"{session.name} on {session.host}: {done.detail}")

    def ended(self, session: Session) -> None:
        """The agent is gone: what it was asked to do it has done now, or never will."""
        for order in session.orders.values():
            if order.command.name == "drain":
                self._state.send(order.asker, Done(order.request, "it has ended"))
            else:
                detail = f"{session.name} on {session.host} has ended"
                self._refuse(order, "no-such-agent", detail)

    def repeat(self, session: Session) -> None:
        """An agent that is there hears again what it has not answered."""
        for order in session.orders.values():
            self._state.send(session.route, order.command)

    def tick(self, now: float) -> None:
        """Tell those who have waited long enough; the order stands."""
        for session in self._state.sessions.values():
            for order in session.orders.values():
                if order.asker and now >= order.deadline:
                    detail = f"{session.name} on {session.host} does not answer; the order stands"
                    self._refuse(order, "no-answer", detail)
                    order.asker = b""

    def _refuse(self, order: Order, code: str, detail: str) -> None:
        self._state.send(order.asker, Error(code, detail, order.request))


def _list(sessions: list[Session]) -> str:
    names = sorted(f"{session.name} on {session.host}" for session in sessions)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) or "none") + more
