"""What dead workers left is swept once, and never while somebody sends."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from zfs_walk.agents.sending.presence import Presence, sweep_after_the_dead

DIES = """
import os, signal, sys
from pathlib import Path
from zfs_walk.agents.sending.presence import Presence
presence = Presence(Path(sys.argv[1]))
if sys.argv[2] == "sending":
    presence.sending().__enter__()
os.kill(os.getpid(), signal.SIGKILL)
"""


def die(folder: Path, what: str) -> None:
    ended = subprocess.run([sys.executable, "-c", DIES, folder, what], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(list(folder.glob("*.sending"))) == 1


def swept(folder: Path) -> int:
    """How often a sweep was asked for, by two who ask."""
    times: list[int] = []
    told = [sweep_after_the_dead(folder, lambda: times.append(1)) for _ in range(2)]
    assert sum(told) == len(times)
    return len(times)


@pytest.mark.parametrize(("what", "times"), [("sending", 1), ("at rest", 0)])
def test_after_a_death_in_the_middle_it_is_swept_once(
    tmp_path: Path, what: str, times: int
) -> None:
    die(tmp_path, what)
    assert swept(tmp_path) == times
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_nothing_is_swept_while_another_is_there(tmp_path: Path) -> None:
    die(tmp_path, "sending")
    living = Presence(tmp_path)
    assert swept(tmp_path) == 0
    living.close()
    assert swept(tmp_path) == 1


def test_who_leaves_in_order_leaves_nothing_to_sweep(tmp_path: Path) -> None:
    presence = Presence(tmp_path)
    with presence.sending():
        assert swept(tmp_path) == 0
    presence.close()
    assert swept(tmp_path) == 0


def test_what_was_broken_off_is_swept_though_nobody_died(tmp_path: Path) -> None:
    presence = Presence(tmp_path)
    with pytest.raises(ZeroDivisionError), presence.sending():
        raise ZeroDivisionError
    with presence.sending():
        pass
    presence.close()
    assert swept(tmp_path) == 1


def test_a_sweep_that_fails_is_asked_for_again(tmp_path: Path) -> None:
    die(tmp_path, "sending")

    def fail() -> None:
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 -- ours
        sweep_after_the_dead(tmp_path, fail)
    assert swept(tmp_path) == 1
