"""Choosing a monitor, as far as every user can."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zfs_walk.errors import MonitorError
from zfs_walk.watch.choose import MONITORS, open_monitor


def test_polling_alone_watches_nothing_and_never_wakes_anybody(folder: Path) -> None:
    monitor, why = open_monitor("poll", os.fsencode(folder), recursive=True)
    assert (monitor.name, why) == ("poll", "")
    (folder / "d").mkdir()
    assert not monitor.add(b"d")
    monitor.forget(b"d")
    assert monitor.read() == []
    monitor.close()


@pytest.mark.parametrize("name", [name for name in MONITORS if name != "poll"])
def test_a_folder_that_is_not_there_is_an_error_with_the_reason(name: str, folder: Path) -> None:
    missing = os.fsencode(folder / "missing")
    with pytest.raises(MonitorError, match=r"missing can't be watched with .*: No such file"):
        open_monitor(name, missing, recursive=True)


def test_watchdog_is_imported_by_who_uses_it_only() -> None:
    script = "import sys, zfs_walk.watch.choose; print('watchdog' in sys.modules)"
    command = [sys.executable, "-c", script]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_a_watchdog_without_what_we_use_is_an_error_that_says_so(folder: Path) -> None:
    script = """
import os, sys, types
sys.modules["watchdog.observers.inotify_c"] = types.ModuleType("of an older release")
from zfs_walk.errors import MonitorError
from zfs_walk.watch.choose import open_monitor
try:
    open_monitor("watchdog", os.fsencode(sys.argv[1]), recursive=True)
except MonitorError as error:
    print(error)
"""
    command = [sys.executable, "-c", script, str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "it takes Linux and watchdog 7.1 or newer" in ran.stdout


def test_closing_leaves_no_descriptor_open(folder: Path) -> None:
    def opened() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    open_monitor("watchdog", os.fsencode(folder), recursive=True)[0].close()
    before = opened()
    for name in ("auto", "watchdog", "poll"):
        open_monitor(name, os.fsencode(folder), recursive=True)[0].close()
        with pytest.raises(MonitorError):
            open_monitor("watchdog", os.fsencode(folder / "missing"), recursive=True)
    assert opened() == before
