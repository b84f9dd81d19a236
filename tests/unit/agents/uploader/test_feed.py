"""What has become of actions waits in bounded room, the last of each, until it is taken."""

from zfs_walk.agents.uploader.feed import MOST_BYTES, MOST_KEPT, ActionFeed
from zfs_walk.mirror.records import Kind
from zfs_walk.mirror.story import Event, Stage
from zfs_walk.protocol.messages import ActionNews
from zfs_walk.protocol.uploads import MOST_ACTIONS


def event(number: int, stage: Stage = Stage.QUEUED, path: bytes = b"a", detail: str = "") -> Event:
    return Event(number, path, Kind.SEND, stage, 10, 1, detail, 2.0, 3.5)


def test_an_action_is_told_with_all_that_is_known() -> None:
    feed = ActionFeed()
    assert not feed.put("photos", [event(7, Stage.FAILED, b"\xff", "no room")])
    assert feed.take() == [[ActionNews(
        "photos", 7, b"\xff", "send", "failed", 10, 1, "no room", 2_000_000_000, 3_500_000_000
    )]]  # fmt: skip
    assert feed.take() == []


def test_of_an_action_the_last_change_is_told_in_its_place() -> None:
    feed = ActionFeed()
    feed.put("one", [event(1), event(2)])
    feed.put("two", [event(1)])
    feed.put("one", [event(1, Stage.SENT)])
    [told] = feed.take()
    assert [(each.mapping, each.number, each.stage) for each in told] == [
        ("one", 2, "queued"), ("two", 1, "queued"), ("one", 1, "sent")
    ]  # fmt: skip


def test_many_make_several_messages_and_say_that_there_is_enough() -> None:
    feed = ActionFeed()
    assert not feed.put("one", [event(number) for number in range(MOST_ACTIONS - 1)])
    assert feed.put("one", [event(number) for number in range(MOST_ACTIONS, 2 * MOST_ACTIONS)])
    messages = feed.take()
    assert [len(each) for each in messages] == [MOST_ACTIONS, MOST_ACTIONS - 1]


def test_long_names_and_reasons_make_several_messages() -> None:
    feed = ActionFeed()
    long = bytes(4_000)
    feed.put("one", [event(number, path=long, detail="x" * 9_000) for number in range(900)])
    messages = feed.take()
    assert sum(len(each) for each in messages) == 900
    for told in messages:
        assert sum(len(each.path) + len(each.detail.encode()) for each in told) <= MOST_BYTES
        assert all(len(each.detail) <= 4_096 for each in told)


def test_what_there_is_no_room_for_is_missed_and_that_is_known() -> None:
    feed = ActionFeed()
    feed.put("one", [event(number) for number in range(MOST_KEPT)])
    assert not feed.missed
    feed.put("one", [event(MOST_KEPT)])
    assert feed.missed
    told = [each.number for message in feed.take() for each in message]
    assert told == list(range(1, MOST_KEPT + 1))
    assert not feed.missed
