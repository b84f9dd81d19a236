"""The process that workers are forked from, with workers of the test's own."""

import os
import signal
import textwrap
from pathlib import Path

import pytest

from tests.process.place import Place, Process, wait_for

PROGRAM = """
import os, signal, sys, time
from zfs_walk.agents.zygote import Zygote

def work(worker, slot, lifeline):
    if worker == 7:
        raise RuntimeError("worker 7 has a bug")
    if worker == 8:
        os._exit(slot)
    time.sleep(3600)

folder = sys.argv[1]
zygote = Zygote(work, folder)
print("zygote", zygote.pid, flush=True)
for line in sys.stdin:
    what, *numbers = line.split()
    if what == "spawn":
        zygote.spawn(*map(int, numbers))
    elif what == "kill":
        zygote.kill(int(numbers[0]))
    elif what == "death":
        dead = []
        while not dead:
            dead = zygote.deaths()
            if dead is None:
                break
            time.sleep(0.01)
        if dead is None:
            print("gone", flush=True)
        for death in dead or []:
            print(death.worker, os.waitstatus_to_exitcode(death.status), flush=True)
    elif what == "close":
        zygote.close()
        print("closed", flush=True)
"""


class Agent:
    """A process with a zygote."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.folder = place.sockets / "zw-mine"
        self.folder.mkdir()
        (self.folder / "socket").touch()
        self.process: Process = place.start_python(
            textwrap.dedent(PROGRAM), str(self.folder), talk=True
        )
        self.zygote = int(self.answer().split()[1])

    def answer(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def tell(self, *words: object) -> None:
        """Give it an order."""
        assert self.process.stdin is not None
        print(*words, file=self.process.stdin, flush=True)

    @property
    def workers(self) -> list[int]:
        """The zygote's children."""
        return self.place.descendants(self.process.pid)[1:]


@pytest.fixture
def agent(place: Place) -> Agent:
    return Agent(place)


def test_workers_come_and_their_ends_are_told(agent: Agent) -> None:
    agent.tell("spawn", 1, 0)
    agent.tell("spawn", 2, 1)
    wait_for("both are there", lambda: len(agent.workers) == 2)
    agent.tell("kill", 2)
    agent.tell("death")
    assert agent.answer() == "2 -9"
    agent.tell("spawn", 8, 42)
    agent.tell("death")
    assert agent.answer() == "8 42"
    agent.tell("kill", 8)  # it is dead already
    wait_for("the first stays", lambda: len(agent.workers) == 1)


def test_an_exception_in_a_worker_is_seen(agent: Agent) -> None:
    agent.tell("spawn", 7, 0)
    agent.tell("death")
    assert agent.answer() == "7 1"
    agent.process.kill()
    assert "RuntimeError: worker 7 has a bug" in agent.place.end(agent.process).err


def test_nothing_is_left_when_it_is_closed(agent: Agent) -> None:
    agent.tell("spawn", 1, 0)
    wait_for("it is there", lambda: agent.workers)
    agent.tell("close")
    assert agent.answer() == "closed"
    assert agent.place.descendants(agent.process.pid) == []
    assert not agent.folder.exists()


def test_nothing_is_left_when_its_agent_is_killed(agent: Agent) -> None:
    for worker in range(1, 6):
        agent.tell("spawn", worker, worker)
    wait_for("all are there", lambda: len(agent.workers) == 5)
    agent.process.kill()
    agent.place.nothing_left()


def test_its_own_end_is_told_and_takes_the_workers_along(agent: Agent) -> None:
    agent.tell("spawn", 1, 0)
    wait_for("it is there", lambda: agent.workers)
    workers = agent.workers
    os.kill(agent.zygote, signal.SIGKILL)
    agent.tell("death")
    assert agent.answer() == "gone"
    wait_for("its worker ends", lambda: not set(workers) & set(agent.place.alive()))
    agent.tell("spawn", 2, 0)  # is said into the void
    agent.tell("close")
    assert agent.answer() == "closed"
    (agent.folder / "socket").unlink()
    agent.folder.rmdir()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_to_the_group_are_the_agents_affair(agent: Agent, number: signal.Signals) -> None:
    agent.tell("spawn", 1, 0)
    wait_for("it is there", lambda: agent.workers)
    for pid in (agent.zygote, *agent.workers):
        os.kill(pid, number)
    agent.tell("spawn", 2, 0)
    wait_for("both live", lambda: len(agent.workers) == 2)


def test_workers_have_nothing_open_that_is_not_theirs(agent: Agent) -> None:
    agent.tell("spawn", 1, 0)
    wait_for("it is there", lambda: agent.workers)
    [worker] = agent.workers
    wait_for("it has settled", lambda: len(descriptors(worker)) == 4)
    kinds = [str(path.readlink()).partition(":")[0] for path in descriptors(worker)]
    assert sorted(kinds) == ["pipe"] * 4  # stdin, stdout, stderr and the lifeline


def descriptors(pid: int) -> list[Path]:
    """What a process has open."""
    return sorted(Path(f"/proc/{pid}/fd").iterdir())
