"""What the broker's log says of agents and runs."""

import logging

from tests.unit.broker.making import Broker, commit
from zfs_walk.broker.events import Note
from zfs_walk.protocol.messages import Bye

A = b"walker-0"


def test_who_joins_and_leaves_is_said() -> None:
    broker = Broker()
    broker.join("walker-0")
    session = next(iter(broker.core.state.sessions))
    name = f"walker-0 on h0 (session {session:x})"
    broker.take(A, Bye("drained by SIGTERM"))
    assert [note.text for note in broker.notes] == [
        f"{name} has joined as a walker with 2 workers",
        f"{name} says goodbye: drained by SIGTERM",
        f"{name} has left",
    ]


def test_who_has_no_workers_is_said_to_have_none() -> None:
    broker = Broker()
    broker.join("scout-1", role="scout", capacity=0)
    [note] = broker.notes
    assert note.text.endswith(") has joined as a scout")


def test_a_lost_agent_is_warned_of() -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.join("walker-1")
    broker.submit()
    broker.granted(A)
    broker.notes.clear()
    broker.after(20)
    holder, other = broker.notes
    assert holder.level == other.level == logging.WARNING
    silent = "is lost: nothing was heard of it for 15 s"
    assert holder.text.endswith(f"{silent}; units of work that go to others: 1")
    assert other.text.endswith(silent)


def test_a_runs_begin_and_end_are_said_with_its_number() -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.notes.clear()
    broker.submit()
    grant = broker.granted(A)
    broker.take(A, commit(grant.uid, grant.epoch, 1, removed=(grant.items[0].n,), done=1))
    assert broker.notes == [
        Note(logging.INFO, "run 1 begins: /data", 1),
        Note(logging.INFO, "run 1 is DONE", 1),
    ]
