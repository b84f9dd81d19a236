"""Whatever changes here and fails there: when it is quiet, both sides are equal.

The real handler, journal and sink of a folder, random changes of files, random trouble. The oracle
is find and sha256sum.
"""

import os
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.unit.mirror.place import Fault, Place, dice
from zfs_walk.mirror import breaker, retry
from zfs_walk.mirror.handling import HandlerOptions
from zfs_walk.sinks.errors import ChangedError, TransientError, UnreachableSinkError

SEEDS = 24
STEPS = 120
NAMES = (b"a", b"b", b"c", b"d", b"\xff e", b"f\n")
OPTIONS = HandlerOptions(
    complete_sync=True, transfers=3, tries=1_000_000, deletion_delay=0.01
)  # fmt: skip


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FILE", retry.Backoff(0.001, 0.01))
    monkeypatch.setattr(retry, "CHANGED_DELAY", 0.005)
    monkeypatch.setattr(breaker, "UNREACHABLE", retry.Backoff(0.001, 0.01))
    monkeypatch.setattr(breaker, "_LEAST", 0.001)


class Changes:
    """Changes files at random.

    Args:
        top: of the tree.
        chances: decide.
    """

    def __init__(self, top: Path, chances: random.Random) -> None:
        self._top = top
        self._chances = chances
        self.counts: Counter[str] = Counter()

    def step(self) -> None:
        """Change something, if it can be."""
        change = self._chances.choice(
            [self._write, self._write, self._append, self._delete, self._rename, self._rename,
             self._replace, self._swap, self._chmod, self._restore, self._clear, self._link]
        )  # fmt: skip
        try:
            change()
        except OSError:
            return  # a folder is where a file would be, or the other way round
        self.counts[change.__name__] += 1

    def _path(self) -> Path:
        depth = self._chances.choice([1, 1, 2, 3])
        parts = [os.fsdecode(self._chances.choice(NAMES)) for _ in range(depth)]
        path = self._top.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _content(self) -> bytes:
        # Few sizes, so that files are mistaken for others if that can be.
        return self._chances.randbytes(self._chances.choice([0, 3, 3, 5000]))

    def _write(self) -> None:
        self._path().write_bytes(self._content())

    def _append(self) -> None:
        with self._path().open("ab") as file:
            file.write(b"more")

    def _replace(self) -> None:
        path = self._path()
        new = path.with_suffix(".new")
        new.write_bytes(self._content())
        new.rename(path)

    def _restore(self) -> None:
        """A file with a time of long ago, as an archive has it.

        No two have the same one: where size and time are those of what was sent before, nobody
        could tell after a failure that it is another file.
        """
        path = self._path()
        path.write_bytes(self._content())
        os.utime(path, (7, 7 + self.counts["_restore"]))

    def _delete(self) -> None:
        self._path().unlink()

    def _clear(self) -> None:
        shutil.rmtree(self._path())

    def _rename(self) -> None:
        self._path().rename(self._path())

    def _swap(self) -> None:
        one, other = self._path(), self._path()
        aside = one.with_suffix(".swap")
        one.rename(aside)
        try:
            other.rename(one)
        finally:
            aside.rename(other)

    def _chmod(self) -> None:
        path = self._path()
        # Of a folder that nobody may enter nothing is known, but to root.
        modes = [0o700, 0o755] if path.is_dir() else [0o600, 0o644]
        path.chmod(self._chances.choice(modes))

    def _link(self) -> None:
        self._path().hardlink_to(self._path())


def trouble(chances: random.Random, counts: Counter[str]) -> Fault:
    """Now and then a call fails, before or after it has done what it was to do."""

    def fault(what: str, _name: bytes, after: bool) -> None:  # noqa: FBT001
        if chances.random() > 0.15:
            return
        kinds = [TransientError, UnreachableSinkError]
        if what == "send" and not after:
            counts["changed"] += 1
            if chances.random() < 0.3:
                raise ChangedError
        kind = chances.choice(kinds)
        counts[f"{kind.__name__} {'after' if after else 'before'}"] += 1
        raise kind(place="there", reason="why")

    return fault


def play(top: Path, seed: int) -> Counter[str]:
    chances = dice(seed)
    place = Place(top, OPTIONS, together=seed % 2 == 0)
    changes = Changes(place.here, chances)
    place.faults.fault = trouble(dice(seed + 1), changes.counts)
    place.handler.start()
    try:
        for _ in range(STEPS):
            changes.step()
            if chances.random() < 0.3:
                place.notice()
            if chances.random() < 0.02:
                place.restart()
        place.notice()
        place.settle()
        place.assert_equal()
        changes.counts.update(what.value for what, _ in place.happened)
        changes.counts["together"] += sum(size > 1 for size in place.faults.batches)
    except BaseException as error:
        error.add_note(f"seed {seed}")
        raise
    finally:
        place.faults.fault = lambda *_: None
        place.close()
    return changes.counts


@pytest.mark.parametrize("block", range(4))
def test_when_it_is_quiet_both_sides_are_equal(block: int, tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    for seed in range(block * SEEDS // 4, (block + 1) * SEEDS // 4):
        top = tmp_path / str(seed)
        top.mkdir()
        counts += play(top, seed)
        shutil.rmtree(top)
    wanted = {"_rename", "_swap", "_link", "_restore", "_clear", "moved", "deleted", "changed"}
    assert wanted <= counts.keys()
    assert counts["together"]
    assert sum("after" in name for name in counts) == 2
