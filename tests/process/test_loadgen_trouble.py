"""Load generators whose target fails them: full, read-only or gone, over its quota, or damaged."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.process import mounts
from tests.process.loading import MIB, Loading, on_disk
from tests.process.place import Place, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.big]


@pytest.fixture
def small_disk(place: Place) -> Iterator[Path]:
    with mounts.tmpfs(place.folder / "disk", "size=48m") as folder:
        yield folder


@pytest.mark.root
def test_a_full_disk_is_the_consumers_error(loading: Loading, small_disk: Path) -> None:
    # It is judged by what is free before the run, and somebody else takes that meanwhile.
    process = loading.start({"target": str(small_disk), "keep": 4, "rate": 40, "block": "256K"}, {},
                         duration=8, max_fill=100)  # fmt: skip
    wait_for("it is at work", lambda: list(small_disk.glob("load-*/c1/0*")))
    with (small_disk / "other").open("wb") as file:
        space = os.statvfs(small_disk)
        file.write(bytes(space.f_bavail * space.f_frsize - 6 * MIB))
    ended = loading.place.end(process)
    assert ended.code == 1
    full = loading.consumer("c1")
    assert "No space left" in full["stopped"]
    assert full["trouble"][0]["what"] == "write"
    assert full["kept_bytes"] == on_disk(small_disk) - (small_disk / "other").stat().st_size
    assert loading.consumer("c2")["ok"]


@pytest.mark.root
def test_a_target_that_becomes_read_only_is_the_consumers_error(loading: Loading) -> None:
    with mounts.image(loading.place.folder / "disk", "ext4", 64 * MIB) as disk:
        process = loading.start({"target": str(disk), "rate": 40, "keep": 3}, {}, duration=6)
        wait_for("it is at work", lambda: list(disk.glob("load-*/c1/0*")))
        # What the system does to a file system with an error, while files are open.
        mounts.run("mount", "-o", "remount,abort", disk)
        ended = loading.place.end(process)
        stopped = loading.consumer("c1")
        assert stopped["kept_bytes"] == on_disk(disk)
    assert ended.code == 1
    assert "Read-only file system" in stopped["stopped"]
    assert loading.consumer("c2")["ok"]


@pytest.mark.root
def test_a_quota_is_the_consumers_error(loading: Loading) -> None:
    if shutil.which("mkfs.btrfs") is None:
        pytest.skip("needs btrfs-progs")
    with mounts.image(loading.place.folder / "disk", "btrfs", 256 * MIB) as disk:
        limited = disk / "limited"
        mounts.run("btrfs", "quota", "enable", disk)
        mounts.run("btrfs", "subvolume", "create", limited)
        mounts.run("btrfs", "qgroup", "limit", "24M", limited)
        # The file system has room for all of it, so the check before the run finds nothing.
        process = loading.start(
            {"target": str(limited), "rate": 80, "keep": "all"}, {}, duration=6
        )  # fmt: skip
        ended = loading.place.end(process)
        stopped = loading.consumer("c1")
        assert stopped["kept_bytes"] == on_disk(limited) > 8 * MIB
    assert ended.code == 1
    assert "Disk quota exceeded" in stopped["stopped"]
    assert stopped["seconds"] < loading.consumer("c2")["seconds"]
    assert loading.consumer("c2")["ok"]


@pytest.mark.root
def test_a_read_only_target_is_refused_before_the_run(loading: Loading, small_disk: Path) -> None:
    mounts.mount(small_disk, "remount,ro")
    ended = loading.run({"target": str(small_disk)})
    assert ended.code == 2
    assert "Read-only file system" in ended.err


@pytest.mark.root
def test_a_target_that_does_not_answer_is_given_up_before_the_run(loading: Loading) -> None:
    with mounts.image(loading.place.folder / "disk", "ext4", 64 * MIB) as disk:
        mounts.run("fsfreeze", "--freeze", disk)
        try:
            process = loading.start({"target": str(disk)}, {}, grace=2, heartbeat=0.3)
            # What the kernel keeps has its output open, so there is no end of that yet.
            wait_for("it has ended", lambda: process.poll() is not None)
        finally:
            mounts.run("fsfreeze", "--unfreeze", disk)
        ended = loading.place.end(process)
    assert ended.code == 1
    assert "has not answered" in loading.consumer("c1")["lost"]
    assert loading.consumer("c2")["ok"]


def test_a_target_that_is_removed_is_the_consumers_error(loading: Loading) -> None:
    other = loading.place.folder / "other"
    other.mkdir()
    process = loading.start({"keep": 2}, {"target": str(other)}, duration=5)
    loading.at_work("c1")
    loading.target.rename(loading.place.folder / "renamed")
    ended = loading.place.end(process)
    assert ended.code == 1
    assert "No such file" in loading.consumer("c1")["stopped"]
    assert loading.consumer("c2")["ok"]


def test_a_flipped_bit_is_found_in_the_run(loading: Loading) -> None:
    process = loading.start({"work": "read", "verify": True, "files": 3, "rate": 200}, duration=3)
    wait_for("the files are there", lambda: len(loading.files("c1")) == 3)
    path = loading.files("c1")[1]
    wait_for("it is whole", lambda: path.stat().st_size == 4 * MIB)
    with path.open("r+b") as file:
        file.seek(1_234_567)
        byte = file.read(1)[0]
        file.seek(1_234_567)
        file.write(bytes([byte ^ 1]))
    ended = loading.place.end(process)
    assert ended.code == 16
    fault = loading.consumer("c1")["fault_list"][0]
    assert (fault["path"], fault["offset"], fault["kind"]) == (str(path), 1_234_567, "flipped")
    assert f"{path} offset 1234567" in ended.out


@pytest.mark.parametrize(
    ("load", "options", "words"),
    [
        ({"file-size": "100G"}, {}, "no consumer would come to a second file twice"),
        ({"work": "read", "files": 9_000_000}, {}, "--max-fill allows 90 %"),
        ({"block": 1000}, {}, "multiples of 512"),
        ({"target": "/nowhere/at/all"}, {}, "there is no such folder"),
        ({"wrok": "read"}, {}, "the nearest is work"),
        ({"work": "erase"}, {}, "write or read or mixed or metadata"),
        ({}, {"report": "/nowhere/r.json"}, "there is no folder"),
        ({}, {"report": "r.pdf"}, "must end with one of"),
        ({}, {"allow": "/usr"}, "may be loaded"),
    ],
)
def test_what_can_not_be_is_refused_with_its_reason(
    loading: Loading, load: dict[str, Any], options: dict[str, Any], words: str
) -> None:
    ended = loading.place.end(loading.start(load, **options))
    assert ended.code == 2
    assert words in ended.err
    assert list(loading.target.iterdir()) == []
