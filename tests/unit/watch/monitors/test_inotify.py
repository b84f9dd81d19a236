"""What is particular to inotify: watches one by one, limits, and a queue that may be full."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.watch.monitors.conftest import Eyes, Told
from zfs_walk.watch.choose import open_monitor
from zfs_walk.watch.monitor import Written

QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")

LIMITED = """
import json, os, sys
from pathlib import Path
from zfs_walk.errors import MonitorError
from zfs_walk.watch.choose import open_monitor

folder, wanted, watches, instances = sys.argv[1:]
Path("/proc/sys/user/max_inotify_watches").write_text(watches)
Path("/proc/sys/user/max_inotify_instances").write_text(instances)
try:
    monitor, why = open_monitor(wanted, os.fsencode(folder), recursive=True)
except MonitorError as error:
    print(json.dumps(["refused", str(error), []]))
else:
    added = [monitor.add(os.fsencode(name)) for name in sorted(os.listdir(folder))]
    print(json.dumps([monitor.name, why, added]))
    monitor.close()
"""


def limited(folder: Path, wanted: str, *, watches: int, instances: int) -> list[object]:
    """Open a monitor in a user namespace of its own, whose limits are nobody else's."""
    program = shutil.which("unshare")
    assert program is not None
    command = [program, "--user", "--map-root-user", sys.executable, "-c", LIMITED, str(folder)]
    command += [wanted, str(watches), str(instances)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.stderr.startswith("unshare:"):
        pytest.skip("needs user namespaces")
    assert not ran.stderr
    found: list[object] = json.loads(ran.stdout)
    return found


@pytest.fixture
def name() -> str:
    return "watchdog"


def test_a_forgotten_directory_tells_nothing(eyes: Eyes) -> None:
    (eyes.folder / "d").mkdir()
    assert eyes.monitor.add(b"d")
    eyes.told()
    eyes.monitor.forget(b"d")
    (eyes.folder / "d" / "f").write_text("x")
    assert eyes.told() == Told()


def test_a_directory_that_came_unseen_is_told_by_where_it_was_added(eyes: Eyes) -> None:
    (eyes.folder / "d" / "e").mkdir(parents=True)
    (eyes.folder / "z").mkdir()
    for each in (b"d", b"d/e", b"z"):
        assert eyes.monitor.add(each)
    eyes.monitor.forget(b"z")
    eyes.told()
    (eyes.folder / "d" / "e").rename(eyes.folder / "z" / "e")
    assert eyes.monitor.add(b"z")
    assert eyes.monitor.add(b"z/e")
    (eyes.folder / "z" / "e" / "f").write_text("x")
    assert eyes.told().names[b"z/e/f"] is Written


@pytest.mark.root
def test_where_the_limit_of_watches_is_reached_a_directory_must_be_polled(folder: Path) -> None:
    for number in range(5):
        (folder / str(number)).mkdir()
    _, _, added = limited(folder, "watchdog", watches=3, instances=1)
    assert added == [True, True, False, False, False]


@pytest.mark.root
def test_without_fanotify_watchdog_is_taken_and_the_log_says_why(folder: Path) -> None:
    name, why, _ = limited(folder, "auto", watches=3, instances=1)
    assert name == "watchdog"
    assert str(why).startswith("no fanotify: it takes root")


@pytest.mark.root
def test_without_both_the_folder_is_polled_and_the_log_says_how_to_get_one(folder: Path) -> None:
    name, why, _ = limited(folder, "auto", watches=3, instances=0)
    assert name == "poll"
    assert "no fanotify: it takes root" in str(why)
    assert "no watchdog: fs.inotify.max_user_instances is" in str(why)
    assert "sysctl fs.inotify.max_user_instances=" in str(why)


@pytest.mark.root
def test_a_named_monitor_that_the_system_refuses_is_an_error(folder: Path) -> None:
    name, message, _ = limited(folder, "fanotify", watches=3, instances=1)
    assert name == "refused"
    assert str(message).startswith(f"{folder} can't be watched with fanotify: it takes root")
    name, message, _ = limited(folder, "watchdog", watches=0, instances=1)
    assert name == "refused"
    assert "sysctl fs.inotify.max_user_watches=" in str(message)


@pytest.mark.root
@pytest.mark.alone
def test_a_full_queue_is_told_as_lost_and_events_go_on_after_it(folder: Path) -> None:
    before = QUEUE.read_text()
    try:
        QUEUE.write_text("8")
    except OSError:
        pytest.skip("needs a host whose limits can be set")
    try:
        # The system reads its limit when inotify is opened.
        monitor, _ = open_monitor("watchdog", os.fsencode(folder), recursive=True)
    finally:
        QUEUE.write_text(before)
    eyes = Eyes(monitor, folder)
    script = """
import os, sys
while os.path.exists(sys.argv[1] + "/more"):
    for number in range(1_000):
        os.close(os.open(f"{sys.argv[1]}/{number}", os.O_CREAT | os.O_WRONLY))
        os.unlink(f"{sys.argv[1]}/{number}")
"""
    (folder / "more").touch()
    maker = subprocess.Popen([sys.executable, "-c", script, folder])
    told = eyes.told_when(lambda told: told.lost)
    (folder / "more").unlink()
    assert maker.wait() == 0
    assert told.lost[0] == "the queue of inotify was full (fs.inotify.max_queued_events)"
    while eyes.ready(0.5):
        monitor.read()
    (folder / "f").write_text("x")
    assert eyes.told() == Told(names={b"f": Written})
    monitor.close()
