"""The limits of inotify, as the system says them."""

import shutil
import subprocess

import pytest

from zfs_walk.watch import limits


@pytest.mark.parametrize("name", [limits.WATCHES, limits.INSTANCES, limits.QUEUE])
def test_a_limit_is_what_sysctl_says(name: str) -> None:
    program = shutil.which("sysctl", path="/usr/sbin:/sbin:/usr/bin:/bin")
    assert program is not None
    command = [program, "-n", f"fs.inotify.{name}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert limits.limit(name) == int(said)


def test_a_limit_that_is_not_there_is_unknown() -> None:
    assert limits.limit("max_of_nothing") is None


def test_an_operator_is_told_a_limit_that_is_enough_for_what_is_missing() -> None:
    now = limits.limit(limits.WATCHES)
    assert now is not None
    text = limits.how_to_get_more(limits.WATCHES, 1_000_000)
    assert text.startswith(f"fs.inotify.max_user_watches is {now}: sysctl fs.inotify.")
    assert int(text.partition("=")[2].partition(",")[0]) >= now + 1_000_000


def test_how_to_raise_a_limit_is_a_command() -> None:
    assert limits.how_to_raise(limits.QUEUE, 65_536) == (
        "sysctl fs.inotify.max_queued_events=65536, and keep it in /etc/sysctl.d"
    )
