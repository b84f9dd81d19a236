"""Keys in the broker's core: every message is checked against the key that it came with."""

from zfs_walk.broker.keys import Key, Keyring
from zfs_walk.broker.sessions import Sessions
from zfs_walk.broker.state import State
from zfs_walk.errors import KeyFileError
from zfs_walk.protocol.messages import (
    CLIENT,
    Done,
    Error,
    Hello,
    KeyAdd,
    KeyLines,
    KeyList,
    KeyRevoke,
    Message,
)
from zfs_walk.protocol.records import KeyLine

KEY_LENGTH = 40
"""Characters of a public key in Z85."""

CLIENT_HERE = 3.0
"""Seconds since its last word for which a client is taken to be connected: commands do not say BYE,
and the longest that one of them waits for nothing is 0.2 s."""

REVOKED = "the key {name} was revoked; ask for another one"


class Access:
    """Knows what a key may do; adds, lists and revokes keys."""

    def __init__(self, state: State, keys: Keyring, sessions: Sessions) -> None:
        self._state = state
        self._keys = keys
        self._sessions = sessions

    def holder(self, user: str) -> Key | None:
        """The key that a message came with; None: it was revoked, and the message is dropped."""
        return self._keys.holder(user)

    def refusal_of_hello(self, key: Key, hello: Hello) -> Error | None:
        """What to say to a HELLO in a role that the key may not take."""
        if key.may_be(hello.role):
            return None
        what = "a command" if hello.role == CLIENT else f"a {hello.role}"
        return Error(
            "not-allowed", f"the key {key.name} is for {', '.join(key.roles)}, not for {what}"
        )

    def refusal_of_request(self, key: Key, message: Message) -> Error | None:
        """What to say to a client's request that the key may not make."""
        if key.may_ask(type(message)):
            return None
        detail = f"the key {key.name} is for {', '.join(key.roles)}; this takes an operator's"
        return Error("not-allowed", detail, getattr(message, "request", ""))

    def on_request(self, route: bytes, message: KeyAdd | KeyList | KeyRevoke, now: float) -> None:
        """Answer a request about keys."""
        match message:
            case KeyAdd():
                self._state.send(route, self._add(message))
            case KeyList():
                lines = tuple(self._line(key, now) for key in self._keys.all())
                self._state.send(route, KeyLines(message.request, lines))
            case KeyRevoke():
                self._revoke(route, message, now)

    def _revoke(self, route: bytes, message: KeyRevoke, now: float) -> None:
        try:
            self._keys.revoke(message.name)
        except ValueError as error:
            self._state.send(route, Error("no-such-key", str(error), message.request))
            return
        except KeyFileError as error:
            self._state.send(route, Error("not-written", str(error), message.request))
            return
        # Whoever revokes the own key still gets this.
        self._state.send(route, Done(message.request, f"{message.name} is revoked"))
        self._end(message.name, now)

    def _add(self, message: KeyAdd) -> Message:
        known = self._keys.named(message.name)
        if known is not None and (known.public, known.roles) == (message.public, message.roles):
            return Done(message.request, f"{message.name} is added")  # the answer got lost
        if len(message.public) != KEY_LENGTH:
            return Error("malformed", "KEY_ADD.public: 40 characters are wanted", message.request)
        try:
            self._keys.add(message.name, message.public, message.roles)
        except ValueError as error:
            return Error("bad-key", str(error), message.request)
        except KeyFileError as error:
            return Error("not-written", str(error), message.request)
        return Done(message.request, f"{message.name} is added")

    def _line(self, key: Key, now: float) -> KeyLine:
        connected = 0
        if not key.revoked_ns:
            clients = sum(
                client.key == key.name and now - client.heard < CLIENT_HERE
                for client in self._state.clients.values()
            )
            sessions = self._state.sessions.values()
            connected = clients + sum(
                bool(each.route) and each.key == key.name for each in sessions
            )
        return KeyLine(key.name, key.public, key.roles, key.created_ns, key.revoked_ns, connected)

    def _end(self, name: str, now: float) -> None:
        """End whatever is connected with a key; from now on nothing of it is heard."""
        farewell = Error("not-allowed", REVOKED.format(name=name))
        for session in list(self._state.sessions.values()):
            if session.challenge is not None and session.challenge.key == name:
                self._state.send(session.challenge.route, farewell)
                session.challenge = None
            if session.key == name:
                self._state.send(session.route, farewell)
                self._sessions.end(session, now)
        for route, client in list(self._state.clients.items()):
            if client.key == name:
                self._state.send(route, farewell)
                del self._state.clients[route]
                for session in self._state.sessions.values():
                    for order in session.orders.values():
                        order.asker = b"" if order.asker == route else order.asker
                for run in self._state.runs.values():
                    run.waiters = [each for each in run.waiters if each.route != route]
