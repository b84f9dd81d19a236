"""Every message is checked against the key that it came with."""

from dataclasses import replace

import pytest

from tests.unit.broker.making import Broker, hello, journal_in_memory, only
from zfs_walk.broker.keys import Key, Keyring
from zfs_walk.bus.verdict import Verdict
from zfs_walk.errors import KeyFileError
from zfs_walk.protocol.messages import (
    CLIENT,
    Abort,
    AgentList,
    Agents,
    Command,
    CommandDone,
    Done,
    Drain,
    Error,
    Grant,
    Hello,
    KeyAdd,
    KeyLines,
    KeyList,
    KeyRevoke,
    Rehello,
    RunStatus,
    Status,
    Welcome,
    WorkRequest,
)

OPERATOR, READER, WALKER, OTHER, NEW = ("O" * 40, "R" * 40, "W" * 40, "X" * 40, "N" * 40)


class Kept:
    """A store of keys in memory, whose clock counts its changes."""

    def __init__(self) -> None:
        self.keys: list[Key] = [
            Key("olga", OPERATOR, ("operator",), 1),
            Key("rita", READER, ("reader",), 2),
            Key("walkers", WALKER, ("walker", "scout"), 3),
            Key("others", OTHER, ("walker",), 4),
        ]
        self.time = 100

    def load(self) -> tuple[Key, ...]:
        return tuple(self.keys)

    def add(self, name: str, public: str, roles: tuple[str, ...]) -> Key:
        self.time += 1
        self.keys.append(Key(name, public, roles, self.time))
        return self.keys[-1]

    def revoke(self, name: str) -> Key:
        self.time += 1
        [place] = [n for n, key in enumerate(self.keys) if key.name == name and not key.revoked_ns]
        self.keys[place] = replace(self.keys[place], revoked_ns=self.time)
        return self.keys[place]


@pytest.fixture
def keys() -> Keyring:
    return Keyring(Kept())


@pytest.fixture
def broker(keys: Keyring) -> Broker:
    return Broker(keys=keys)


def client(name: str = "c") -> Hello:
    return hello(name, role=CLIENT)


def operate(broker: Broker) -> bytes:
    broker.take(b"olga", client(), OPERATOR)
    return b"olga"


# ---------------------------------------------------------------------- who may say HELLO


@pytest.mark.parametrize(
    ("key", "role"),
    [(WALKER, "walker"), (WALKER, "scout"), (OPERATOR, "loadgen"), (OPERATOR, CLIENT),
     (READER, CLIENT)],
)  # fmt: skip
def test_a_key_says_hello_in_its_roles(broker: Broker, key: str, role: str) -> None:
    [(_, answer)] = broker.take(b"r", hello(role=role), key)
    assert isinstance(answer, Welcome)


@pytest.mark.parametrize(
    ("key", "role", "detail"),
    [
        (WALKER, "uploader", "the key walkers is for walker, scout, not for a uploader"),
        (WALKER, CLIENT, "the key walkers is for walker, scout, not for a command"),
        (READER, "walker", "the key rita is for reader, not for a walker"),
    ],
)
def test_no_key_says_hello_in_another_role(
    broker: Broker, key: str, role: str, detail: str
) -> None:
    assert broker.take(b"r", hello(role=role), key) == [(b"r", Error("not-allowed", detail))]
    assert broker.core.state.sessions == {}
    assert broker.core.state.clients == {}


def test_nothing_is_heard_of_a_key_that_is_none(broker: Broker) -> None:
    assert broker.take(b"r", hello(), NEW) == []
    assert broker.take(b"r", hello()) == []


def test_without_keys_everybody_is_an_operator() -> None:
    broker = Broker()
    broker.take(b"c", client())
    [(_, answer)] = broker.take(b"c", Agents("q", 0))
    assert answer == AgentList("q", ())
    broker.take(b"w", hello())
    assert [session.key for session in broker.core.state.sessions.values()] == ["local"]


# ---------------------------------------------------------------------- whose message it is


def test_a_route_alone_speaks_for_no_session(broker: Broker) -> None:
    broker.take(b"w", hello(), WALKER)
    assert broker.take(b"w", WorkRequest(1), OTHER) == [(b"w", Rehello(broker.core.state.term))]
    assert broker.core.state.wanting == {}


def test_a_route_alone_speaks_for_no_client(broker: Broker) -> None:
    route = operate(broker)
    answers = broker.take(route, Abort("q", 0, 1), READER)
    assert answers == [(route, Rehello(broker.core.state.term))]


def test_a_reader_looks_and_changes_nothing(broker: Broker) -> None:
    route = operate(broker)
    broker.take(b"r", client("r"), READER)
    assert only(broker.take(b"r", Agents("q", 0), READER), AgentList)
    for request in (Abort("q", 0, 1), KeyList("q", 0), KeyRevoke("q", 0, "olga")):
        detail = "the key rita is for reader; this takes an operator's"
        assert broker.take(b"r", request, READER) == [(b"r", Error("not-allowed", detail, "q"))]
    assert only(broker.take(route, Agents("q", 0), OPERATOR), AgentList)


def test_the_name_of_a_session_belongs_to_its_key_until_it_is_lost(broker: Broker) -> None:
    broker.take(b"w", hello("w"), WALKER)
    detail = "the name w on h0 belongs to the key walkers; give this agent another --name"
    taken = broker.take(b"x", hello("w", boot="another"), OTHER)
    assert taken == [(b"x", Error("not-allowed", detail))]
    assert broker.take(b"x", hello("w", conn=2), OTHER) == [(b"x", Error("not-allowed", detail))]
    broker.after(60.0)
    assert only(broker.take(b"x", hello("w", boot="another"), OTHER), Welcome, b"x")
    [session] = broker.core.state.sessions.values()
    assert (session.key, session.route) == ("others", b"x")


def test_a_session_from_before_there_were_keys_is_taken_up_with_any(keys: Keyring) -> None:
    journal = journal_in_memory()
    before = Broker(journal)
    before.take(b"w", hello("w"))
    journal._db.execute("UPDATE session SET key = ''")
    after = Broker(journal, keys=keys)
    [(_, answer)] = after.take(b"w2", hello("w", conn=2), WALKER)
    assert isinstance(answer, Welcome)
    assert [session.key for session in after.core.state.sessions.values()] == ["walkers"]


def test_a_restarted_broker_knows_whose_a_session_is(keys: Keyring) -> None:
    broker = Broker(keys=keys)
    broker.take(b"w", hello("w"), WALKER)
    after = Broker(broker.journal, keys=keys)
    [(_, answer)] = after.take(b"x", hello("w", conn=2), OTHER)
    assert isinstance(answer, Error)
    assert answer.code == "not-allowed"


# ---------------------------------------------------------------------- adding and listing


def test_an_added_key_is_let_in(broker: Broker) -> None:
    route = operate(broker)
    add = KeyAdd("q", 0, "new", NEW, ("walker",))
    assert broker.take(route, add, OPERATOR) == [(route, Done("q", "new is added"))]
    assert only(broker.take(b"n", hello(), NEW), Welcome)
    # Its answer may be lost.
    assert broker.take(route, add, OPERATOR) == [(route, Done("q", "new is added"))]


@pytest.mark.parametrize(
    ("name", "public", "roles", "code", "why"),
    [
        ("rita", NEW, ("walker",), "bad-key",
         "there is a key rita already; revoke it first, or take another name"),
        ("new", READER, ("walker",), "bad-key",
         "this public key was added before; make a new one"),
        ("local", NEW, ("walker",), "bad-key", "'local' can't be a key's name"),
        ("a\nb", NEW, ("walker",), "bad-key", "'a\\nb' can't be a key's name"),
        ("new", NEW, (), "bad-key", "a key without a role is good for nothing"),
        ("new", "N", ("walker",), "malformed", "KEY_ADD.public: 40 characters are wanted"),
    ],
)  # fmt: skip
def test_a_bad_key_is_not_added(  # noqa: PLR0917 -- a column each
    broker: Broker, name: str, public: str, roles: tuple[str, ...], code: str, why: str
) -> None:
    route = operate(broker)
    answers = broker.take(route, KeyAdd("q", 0, name, public, roles), OPERATOR)
    assert answers == [(route, Error(code, why, "q"))]


def test_a_bus_without_keys_takes_none() -> None:
    broker = Broker()
    broker.take(b"c", client())
    [(_, answer)] = broker.take(b"c", KeyAdd("q", 0, "new", NEW, ("walker",)))
    why = "this broker runs without keys (--insecure, or on ipc)"
    assert answer == Error("bad-key", why, "q")


def test_keys_are_listed_by_name_with_what_is_connected(broker: Broker) -> None:
    route = operate(broker)
    broker.take(b"w", hello("w1"), WALKER)
    broker.take(b"w2", hello("w2"), WALKER)
    [lines] = only(broker.take(route, KeyList("q", 0), OPERATOR), KeyLines)
    assert [(line.name, line.roles, line.sessions) for line in lines.keys] == [
        ("olga", ("operator",), 1),
        ("others", ("walker",), 0),
        ("rita", ("reader",), 0),
        ("walkers", ("walker", "scout"), 2),
    ]


# ---------------------------------------------------------------------- revocation


def test_a_revoked_keys_sessions_end_and_their_work_goes_to_others(
    broker: Broker, keys: Keyring
) -> None:
    called: list[str] = []
    keys.after_revocation(lambda: called.append("bound anew"))
    route = operate(broker)
    broker.take(b"w", hello("w"), WALKER)
    broker.take(b"x", hello("x"), OTHER)
    run = broker.run(route, OPERATOR)
    [grant] = only(broker.take(b"w", WorkRequest(1), WALKER), Grant)
    assert not only(broker.take(b"x", WorkRequest(1), OTHER), Grant)
    sent = broker.take(route, KeyRevoke("q", 0, "walkers"), OPERATOR)
    assert sent[:2] == [
        (route, Done("q", "walkers is revoked")),
        (b"w", Error("not-allowed", "the key walkers was revoked; ask for another one")),
    ]
    [again] = only(sent, Grant, b"x")
    assert (again.run, again.uid, again.epoch > grant.epoch) == (run, grant.uid, True)
    assert broker.take(b"w", WorkRequest(1), WALKER) == []
    assert broker.take(b"w3", hello("w"), WALKER) == []
    assert called == ["bound anew"]


def test_a_revoked_client_gets_no_more_answers(broker: Broker) -> None:
    route = operate(broker)
    broker.take(b"x", hello("x"), OTHER)
    run = broker.run(route, OPERATOR)
    broker.take(b"r", client("r"), READER)
    assert broker.take(b"r", Status("s", 0, run, 60_000), READER) == []
    broker.take(route, KeyRevoke("q", 0, "rita"), OPERATOR)
    sent = broker.take(route, Abort("a", 0, run), OPERATOR)
    assert not only(sent, RunStatus, b"r")
    assert broker.take(b"r", Agents("q", 0), READER) == []


def test_a_revoked_key_takes_no_name_over_that_it_was_waiting_for(broker: Broker) -> None:
    route = operate(broker)
    broker.take(b"w", hello("w", boot="a"), WALKER)
    assert not only(broker.take(b"v", hello("w", boot="b"), WALKER), Welcome)
    for session in broker.core.state.sessions.values():
        session.key = ""  # of a journal from before there were keys
    sent = broker.take(route, KeyRevoke("q", 0, "walkers"), OPERATOR)
    assert (b"v", Error("not-allowed", "the key walkers was revoked; ask for another one")) in sent
    assert not only(broker.after(60.0), Welcome)


def test_a_revoked_client_does_not_hear_what_became_of_its_order(broker: Broker) -> None:
    route = operate(broker)
    broker.take(b"x", hello("x"), OTHER)
    broker.take(route, KeyAdd("k", 0, "second", NEW, ("operator",)), OPERATOR)
    broker.take(b"second", client("second"), NEW)
    [command] = only(broker.take(b"second", Drain("d", 0, "", "x"), NEW), Command)
    broker.take(route, KeyRevoke("q", 0, "second"), OPERATOR)
    sent = broker.take(b"x", CommandDone(command.id, True, "drains"), OTHER)
    assert not [message for route, message in sent if route == b"second"]


def test_a_readers_hello_begins_no_new_term(broker: Broker) -> None:
    broker.take(b"x", hello("x"), OTHER)
    later = broker.core.state.term + 50
    sent = broker.take(b"r", hello("r", role=CLIENT, highest_term=later), READER)
    assert [type(message) for _, message in sent] == [Welcome]
    assert broker.core.state.term < later


def test_who_revokes_the_own_key_is_told_so(broker: Broker) -> None:
    route = operate(broker)
    sent = broker.take(route, KeyRevoke("q", 0, "olga"), OPERATOR)
    assert sent[0] == (route, Done("q", "olga is revoked"))
    assert broker.take(route, Agents("q", 0), OPERATOR) == []


def test_only_a_valid_key_is_revoked(broker: Broker) -> None:
    route = operate(broker)
    broker.take(route, KeyRevoke("q", 0, "rita"), OPERATOR)
    for name in ("rita", "nobody"):
        [(_, answer)] = broker.take(route, KeyRevoke("q", 0, name), OPERATOR)
        why = f"there is no valid key {name}; there are: olga, others, walkers"
        assert answer == Error("no-such-key", why, "q")


def test_a_revoked_keys_name_may_be_used_again_its_public_key_never(broker: Broker) -> None:
    route = operate(broker)
    broker.take(route, KeyRevoke("q", 0, "walkers"), OPERATOR)
    [(_, answer)] = broker.take(route, KeyAdd("q", 0, "walkers", WALKER, ("walker",)), OPERATOR)
    assert isinstance(answer, Error)
    [(_, answer)] = broker.take(route, KeyAdd("q", 0, "walkers", NEW, ("walker",)), OPERATOR)
    assert answer == Done("q", "walkers is added")
    [lines] = only(broker.take(route, KeyList("q", 0), OPERATOR), KeyLines)
    assert [
        (line.public, line.revoked_ns > 0) for line in lines.keys if line.name == "walkers"
    ] == [
        (WALKER, True),
        (NEW, False),
    ]


class Full(Kept):
    """A store on a full disk."""

    def add(self, name: str, public: str, roles: tuple[str, ...]) -> Key:
        raise KeyFileError(path="keys.json", reason=f"no space for {name} {public} {roles}")

    def revoke(self, name: str) -> Key:
        raise KeyFileError(path="keys.json", reason=f"no space for {name}")


def test_what_can_not_be_kept_is_not_done_and_the_broker_goes_on() -> None:
    broker = Broker(keys=Keyring(Full()))
    route = operate(broker)
    for request in (KeyAdd("q", 0, "new", NEW, ("walker",)), KeyRevoke("q", 0, "rita")):
        [(_, answer)] = broker.take(route, request, OPERATOR)
        assert isinstance(answer, Error)
        assert answer.code == "not-written"
        assert "no space" in answer.detail
    assert broker.take(b"n", hello(), NEW) == []
    assert only(broker.take(b"r", client("r"), READER), Welcome)


# ---------------------------------------------------------------------- at the handshake


@pytest.mark.parametrize(
    ("domain", "public", "verdict"),
    [
        ("bus", WALKER, Verdict("", "walkers")),
        ("bus", READER, Verdict("", "rita")),
        ("publish", WALKER, Verdict("", "walkers")),
        ("publish", OPERATOR, Verdict("", "olga")),
        ("publish", READER, Verdict("the key may be reader only", "rita")),
        ("subscribe", READER, Verdict("", "rita")),
        ("subscribe", WALKER, Verdict("the key may be walker, scout only", "walkers")),
        ("bus", NEW, Verdict("the broker does not know its key")),
    ],
)
def test_a_key_connects_where_one_of_its_roles_may(
    keys: Keyring, domain: str, public: str, verdict: Verdict
) -> None:
    assert keys.judge(domain, public) == verdict


def test_a_revoked_key_is_known_and_refused(keys: Keyring) -> None:
    keys.revoke("rita")
    assert keys.judge("bus", READER) == Verdict("the key was revoked", "rita")
