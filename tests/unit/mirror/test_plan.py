"""What is done about a name, for everything that may be found."""

import stat

import pytest

from zfs_walk.mirror.plan import (
    Delete,
    Fail,
    Gone,
    Later,
    Local,
    Move,
    Nothing,
    Send,
    Unreadable,
    decide,
    has_permissions,
    is_there,
)
from zfs_walk.mirror.records import Action, Entry, Kind, State
from zfs_walk.sinks.interface import Remote

MODE = stat.S_IFREG | 0o644
LOCAL = Local(size=5, mtime_ns=2_000_000_001, dev=1, ino=7, mode=MODE, born_ns=2_000_000_000)
ENTRY = Entry(b"name", 5, 2_000_000_001, 1, 7, MODE, "tag")
OLD = ENTRY._replace(path=b"old")


def action(kind: Kind = Kind.SEND, *, unsure: bool = False, error: str = "") -> Action:
    return Action(b"name", kind, State.TAKEN, 1, 5, 0.0, 0.0, 0, error, unsure)


def test_a_file_that_is_new_is_sent() -> None:
    assert decide(action(), LOCAL, None, [], complete_sync=True) == Send(look=False)


@pytest.mark.parametrize(
    "other",
    [{"size": 6}, {"mtime_ns": 2_000_000_002}, {"ino": 8}, {"mode": stat.S_IFREG | 0o600}],
    ids=str,
)
def test_a_file_that_differs_from_the_index_is_sent(other: dict[str, int]) -> None:
    found = LOCAL._replace(**other)
    assert decide(action(), found, ENTRY, [], complete_sync=True) == Send(look=False)


def test_a_file_that_is_there_already_is_not_sent() -> None:
    for kind in Kind:
        assert decide(action(kind), LOCAL, ENTRY, [], complete_sync=True) == Nothing(None)


def test_another_number_of_the_device_is_written_down_and_nothing_is_sent() -> None:
    found = LOCAL._replace(dev=2)
    decision = decide(action(), found, ENTRY, [], complete_sync=True)
    assert decision == Nothing(ENTRY._replace(dev=2))


def test_of_an_unsure_action_the_index_is_not_believed() -> None:
    decision = decide(action(unsure=True), LOCAL, ENTRY, [], complete_sync=True)
    assert decision == Send(look=True)


def test_a_distrusted_entry_is_not_believed() -> None:
    decision = decide(action(), LOCAL, ENTRY._replace(dev=0, ino=0), [], complete_sync=True)
    assert decision == Send(look=False)


def test_after_a_failed_try_the_other_side_is_looked_at_first() -> None:
    decision = decide(action(error="it failed"), LOCAL, None, [], complete_sync=True)
    assert decision == Send(look=True)


def test_a_file_that_is_known_under_a_name_that_is_gone_is_moved() -> None:
    decision = decide(action(), LOCAL, None, [OLD], complete_sync=False)
    assert decision == Move(OLD, certain=True)


@pytest.mark.parametrize("born_ns", [0, LOCAL.mtime_ns + 1])
def test_that_it_is_the_same_file_is_uncertain_if_its_time_is_older_than_itself(
    born_ns: int,
) -> None:
    found = LOCAL._replace(born_ns=born_ns)
    assert decide(action(), found, None, [OLD], complete_sync=True) == Move(OLD, certain=False)


def test_it_is_the_same_file_if_both_were_born_at_the_same_time() -> None:
    born = LOCAL.mtime_ns + 1
    found, old = LOCAL._replace(born_ns=born), OLD._replace(born_ns=born)
    assert decide(action(), found, None, [old], complete_sync=True) == Move(old, certain=True)
    younger = found._replace(born_ns=born + 1)
    assert decide(action(), younger, None, [old], complete_sync=True) == Move(old, certain=False)
    unknown = found._replace(born_ns=0), old._replace(born_ns=0)
    decision = decide(action(), unknown[0], None, [unknown[1]], complete_sync=True)
    assert decision == Move(unknown[1], certain=False)


def test_what_is_gone_is_deleted_only_with_complete_sync() -> None:
    gone = Gone(device=1)
    assert decide(action(Kind.DELETE), gone, ENTRY, [], complete_sync=True) == Delete("")
    assert decide(action(Kind.DELETE), gone, None, [], complete_sync=True) == Delete("")
    for kind in Kind:
        assert decide(action(kind), gone, ENTRY, [], complete_sync=False) == Nothing(None)


def test_a_file_that_vanished_may_still_turn_up_under_another_name() -> None:
    assert decide(action(), Gone(device=1), ENTRY, [], complete_sync=True) == Later()


def test_a_deletion_is_doubted_if_the_file_was_on_another_file_system() -> None:
    decision = decide(action(Kind.DELETE), Gone(device=2), ENTRY, [], complete_sync=True)
    assert isinstance(decision, Delete)
    assert "unmounted" in decision.doubt


def test_what_cant_be_read_fails_and_is_not_deleted() -> None:
    for kind in Kind:
        decision = decide(action(kind), Unreadable("why"), ENTRY, [], complete_sync=True)
        assert decision == Fail("why")


def remote(mtime_ns: int | None = LOCAL.mtime_ns, size: int = 5) -> Remote:
    return Remote(b"name", size, mtime_ns, "")


def test_size_and_time_tell_that_a_file_is_there() -> None:
    assert is_there(LOCAL, remote(), None, 1)
    assert is_there(LOCAL, remote(), ENTRY._replace(size=4), 1)
    assert not is_there(LOCAL, remote(size=6), None, 1)
    assert not is_there(LOCAL, remote(mtime_ns=1), None, 1)
    assert not is_there(LOCAL, remote(mtime_ns=None), None, 1)


def test_permissions_are_those_that_the_other_side_tells() -> None:
    there = remote()._replace(mode=0o640)
    assert has_permissions(LOCAL._replace(mode=0o100640), there, None)
    assert not has_permissions(LOCAL._replace(mode=0o100600), there, ENTRY._replace(mode=0o100600))


def test_permissions_that_nobody_tells_are_those_that_were_sent_last() -> None:
    assert has_permissions(LOCAL, remote(), None)
    assert has_permissions(LOCAL, remote(), ENTRY)
    assert not has_permissions(LOCAL, remote(), ENTRY._replace(mode=0o100600))


def test_what_looked_the_same_before_tells_nothing() -> None:
    """Such as after a chmod, or if both versions are of one second."""
    assert not is_there(LOCAL, remote(), ENTRY, 1)
    earlier = ENTRY._replace(mtime_ns=LOCAL.mtime_ns - 1)
    assert is_there(LOCAL, remote(), earlier, 1)
    assert not is_there(LOCAL, remote(2_000_000_000), earlier, 1_000_000_000)
    assert is_there(LOCAL, remote(2_000_000_000), ENTRY._replace(mtime_ns=1), 1_000_000_000)


def test_whole_seconds_tell_nothing_if_the_version_before_is_unknown() -> None:
    assert not is_there(LOCAL, remote(2_000_000_000), None, 1_000_000_000)
