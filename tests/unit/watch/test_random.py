"""Any sequence of operations: the copy that follows the changes is what find finds."""
# ruff: noqa: PTH104, PTH108, PTH211 -- the system calls themselves

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.unit.watch.conftest import EVENTS, SETTLE, Watched
from zfs_walk.watch.watch import Watch, WatchOptions

PLACES = st.lists(st.sampled_from(["a", "b", "b-", "\udcff"]), min_size=1, max_size=3).map("/".join)


class Folder(RuleBasedStateMachine):
    """A folder to which anything happens; what the system refuses does not happen."""

    monitor: ClassVar[str]

    @initialize(files=st.sets(PLACES, max_size=3))
    def begin(self, files: set[str]) -> None:
        self.room = Path(tempfile.mkdtemp(prefix="zw-watch-"))
        self.folder = self.room / "watched"
        self.folder.mkdir()
        for path in sorted(files):
            self.write(path, 1)
        options = WatchOptions(
            recursive=True,
            hidden=True,
            includes=(),
            excludes=(),
            poll=0.02 if self.monitor == "poll" else 0,
            settle=SETTLE,
            monitor=self.monitor,
        )
        self.watched = Watched(self.folder, Watch(os.fsencode(self.folder), options, lambda: None))
        self.watched.watch.start()
        self.watched.serves()

    @rule(path=PLACES, size=st.integers(0, 3))
    def write(self, path: str, size: int) -> None:
        with contextlib.suppress(OSError):
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_bytes(b"x" * size)

    @rule(path=PLACES)
    def make_directory(self, path: str) -> None:
        with contextlib.suppress(OSError):
            (self.folder / path).mkdir(parents=True)

    @rule(old=PLACES, new=PLACES)
    def rename(self, old: str, new: str) -> None:
        with contextlib.suppress(OSError):
            os.rename(self.folder / old, self.folder / new)

    @rule(path=PLACES)
    def move_out(self, path: str) -> None:
        with contextlib.suppress(OSError):
            os.rename(self.folder / path, self.room / "outside")

    @rule(path=PLACES, name=PLACES)
    def move_in(self, path: str, name: str) -> None:
        with contextlib.suppress(OSError):
            # What happens outside is nobody's affair until it is back.
            (self.room / "outside" / name).write_bytes(b"outside")
        with contextlib.suppress(OSError):
            os.rename(self.room / "outside", self.folder / path)

    @rule(path=PLACES)
    def remove(self, path: str) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self.folder / path)
        shutil.rmtree(self.folder / path, ignore_errors=True)

    @rule(path=PLACES, leads=PLACES)
    def link(self, path: str, leads: str) -> None:
        with contextlib.suppress(OSError):
            os.symlink(self.folder / leads, self.folder / path)

    @rule()
    def agree(self) -> None:
        self.watched.agrees()

    def teardown(self) -> None:
        if hasattr(self, "watched"):
            try:
                self.watched.agrees()
            finally:
                self.watched.watch.close()
                shutil.rmtree(self.room)


@pytest.mark.slow
@pytest.mark.parametrize("monitor", ["poll", *EVENTS])
def test_whatever_happens_the_list_agrees(monitor: str) -> None:
    machine = type("Watching", (Folder,), {"monitor": monitor})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
