"""The agent sets its own level and its workers', those that come later as well."""

import logging
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from zfs_walk.agents.walker.crew import Crew
from zfs_walk.agents.walker.events import Instruction, Spawn, Tell
from zfs_walk.agents.walker.tasks import LINK, Logged, SetLevel
from zfs_walk.agents.walker.worker_log import LinkHandler, log_for_worker
from zfs_walk.bus.ends import Pull, Push, Waiter
from zfs_walk.bus.sockets import HIGH_WATER, Bus


def test_workers_that_are_there_are_told_and_later_ones_when_they_are_ready() -> None:
    out: list[Instruction] = []
    crew = Crew(1, out)
    crew.fill()
    crew.ready(crew.workers[1])
    crew.set_level("debug", "")
    assert out == [Spawn(1), Tell(1, SetLevel("debug", ""))]
    out.clear()
    crew.resize(2)
    assert out == [Spawn(2)]
    crew.set_level("error", "zfs_walk.worker")
    crew.ready(crew.workers[2])
    assert out[1:] == [
        Tell(1, SetLevel("error", "zfs_walk.worker")),
        Tell(2, SetLevel("debug", "")),
        Tell(2, SetLevel("error", "zfs_walk.worker")),
    ]


class Pipe:
    """A worker's handler and the agent's end."""

    def __init__(self, folder: Path) -> None:
        self.bus = Bus()
        endpoint = f"ipc://{folder}/{uuid.uuid4().hex[:8]}"
        self.push: Push = self.bus.push(endpoint, bind=False)
        self.handler = LinkHandler(3, self.push)
        self.endpoint = endpoint

    def say(self, text: str, level: int = logging.INFO) -> None:
        self.handler.handle(
            logging.makeLogRecord(
                {"name": "zfs_walk.worker", "msg": text, "levelno": level, "run": 7, "size": 5}
            )
        )

    def received(self, pull: Pull, number: int) -> list[Logged]:
        waiter = Waiter()
        waiter.add(pull)
        got: list[Logged] = []
        while len(got) < number:
            frames = pull.receive()
            if frames is None:
                waiter.wait(1.0)
            else:
                got.append(LINK.decode(frames))
        return got


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    made = Pipe(tmp_path)
    yield made
    made.push.close()
    made.bus.close()


def test_a_worker_that_finds_no_room_goes_on_and_tells_how_many_it_lost(pipe: Pipe) -> None:
    for number in range(HIGH_WATER + 12):
        pipe.say(f"{number}")
    pipe.say("worse", logging.ERROR)
    pull = pipe.bus.pull(pipe.endpoint, bind=True)
    got = pipe.received(pull, HIGH_WATER)
    assert [message.text for message in got] == [str(number) for number in range(HIGH_WATER)]
    assert not any(message.skipped for message in got)
    pipe.say("again")
    [after] = pipe.received(pull, 1)
    assert (after.text, after.skipped) == ("again", (("info", 12), ("error", 1)))
    pipe.say("and again")
    [last] = pipe.received(pull, 1)
    assert last.skipped == ()
    pull.close()


def test_the_agent_logs_a_workers_record_as_that_worker(caplog: pytest.LogCaptureFixture) -> None:
    message = Logged(
        3, 5 * 10**9, 7, "warning", "zfs_walk.worker", "said", (("size", "5"),), "trace", ()
    )
    log_for_worker(message)
    [record] = caplog.records
    assert (record.name, record.levelno, record.getMessage()) == ("zfs_walk.worker", 30, "said")
    assert (record.processName, record.created, record.exc_text) == ("worker 3", 5.0, "trace")
    assert (vars(record)["run"], vars(record)["size"]) == (7, "5")
