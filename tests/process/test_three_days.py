"""A mapping that was down for days sends what has changed meanwhile, and nothing else.

What was sent, moved and deleted is told by the inodes of the other side: what is sent is a new one
there, what is moved keeps its own. The expectation is the list of changes.
"""

import json
import os
import re
import shutil
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from tests.process.oracle import find
from tests.process.place import Place
from tests.servers import compare

pytestmark = pytest.mark.slow

DAYS: Final = 3 * 86_400
FOLDERS, FILES = 60, 100
"""Folders of the tree, and files of each."""
EARLY: Final = 40
"""Files that had changed already when the mapping stopped."""


class Tree:
    """The folder that is mirrored; what is changed is nothing that was changed before.

    Attributes:
        untouched: names that were there from the start, and were not changed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.untouched: list[str] = []
        for number in range(FOLDERS):
            (root / f"d{number:02}").mkdir(parents=True)
            for file in range(FILES):
                self.untouched.append(f"d{number:02}/file {file:02}")
                self.write(self.untouched[-1], "old")

    def write(self, name: str, word: str) -> None:
        (self.root / name).write_text(f"{word} {name}\n" * (1 + len(name) % 3))

    def take(self, count: int) -> Iterator[str]:
        """Names that are not untouched any more."""
        taken, self.untouched = self.untouched[:count], self.untouched[count:]
        yield from taken

    # ------------------------------------------------------------------ 5,000 changes

    def rename_folders(self) -> dict[str, str]:
        """Five, into others: 500 files; returns their new names and the old ones."""
        moved: dict[str, str] = {}
        for number in range(FOLDERS - 5, FOLDERS):
            old, new = f"d{number}", f"d{number - 10}/renamed"
            (self.root / old).rename(self.root / new)
            here = [name for name in self.untouched if name.startswith(f"{old}/")]
            moved |= {name.replace(old, new, 1): name for name in here}
            self.untouched = [name for name in self.untouched if name not in here]
        return moved

    def rename_files(self) -> dict[str, str]:
        """500, in their folder or out of it; returns their new names and the old ones."""
        moved = {}
        for number, old in enumerate(self.take(500)):
            new = f"{old} renamed" if number % 2 else f"d40/came {number}"
            (self.root / old).rename(self.root / new)
            moved[new] = old
        return moved

    def change_content(self) -> set[str]:
        """Modify, append to, replace and create 800 of each; returns their names."""
        changed = set()
        for name in self.take(800):
            self.write(name, "NEW")  # as many bytes as before
            changed.add(name)
        for name in self.take(800):
            with (self.root / name).open("a") as file:
                file.write("more\n")
            changed.add(name)
        for name in self.take(800):
            self.write(f"{name}~", "replaced")
            (self.root / f"{name}~").rename(self.root / name)
            changed.add(name)
        for number in range(800):
            name = f"created {number % 7}/deep/file {number}"
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            self.write(name, "created")
            changed.add(name)
        return changed

    def delete(self) -> set[str]:
        """800, among them all files of some folders; returns their names."""
        gone = {*self.take(800)}
        for name in gone:
            (self.root / name).unlink()
        for folder in {name.partition("/")[0] for name in gone}:
            if not any((self.root / folder).iterdir()):
                (self.root / folder).rmdir()
        return gone


def inodes(folder: Path) -> dict[str, str]:
    """The inode of every file, with its birth: what is the same file, whatever its name is."""
    told = find(folder, "-type", "f", "-printf", r"%P\0%i %B@\0").decode().split("\0")[:-1]
    return dict(zip(told[::2], told[1::2], strict=True))


def set_back(state: Path) -> int:
    """Let a journal, and all other files of a mapping, be of days ago; returns its actions."""
    with closing(sqlite3.connect(state / "journal.db")) as db, db:
        aged = "UPDATE action SET added = added - :days, not_before = max(0, not_before - :days)"
        actions = db.execute(aged, {"days": DAYS}).rowcount
    for path in state.rglob("*"):
        seen = path.stat()
        os.utime(path, (seen.st_atime - DAYS, seen.st_mtime - DAYS))
    return actions


def counted(state: Path) -> Counter[str]:
    """What the uploader says that it did with files, since its logs were taken away."""
    told = Counter[str]()
    for log in (state / "log").glob("*.jsonl"):
        for line in log.read_text().splitlines():
            told.update(re.findall(r" (sent|moved|deleted|failed)\b", json.loads(line)["message"]))
    return told


@pytest.mark.parametrize("killed", [False, True])
def test_after_three_days_what_has_changed_is_sent_and_nothing_else(
    place: Place,
    killed: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    tree, copy, state = Tree(place.folder / "data"), place.folder / "copy", place.folder / "up"
    copy.mkdir()
    mapping = {
        "name": "one", "local": str(tree.root), "to": f"file://{copy}", "complete_sync": True,
        "guard_percent": 100,
    }  # fmt: skip
    file = place.folder / "uploader.yaml"
    file.write_text(json.dumps({"role": "uploader", "state": str(state), "mappings": [mapping]}))
    words = ("agent", "--config", file, "--once")
    assert place.run(*words).code == 0
    assert compare.differences(tree.root, copy) == []
    if killed:
        for name in tree.untouched[:EARLY]:
            tree.write(name, "before the end")
        ended = place.run(*words, env={"ZFS_WALK_FAILPOINT": "mirror.taken"})
        assert ended.code == -signal.SIGKILL
    assert bool(set_back(state / "mirrors/one")) == killed
    shutil.rmtree(state / "log")
    before = inodes(copy)

    # Those that had changed already are changed once more.
    sent = tree.change_content()
    moved = tree.rename_files() | tree.rename_folders()
    gone = tree.delete()
    assert (len(sent), len(moved), len(gone)) == (3200, 1000, 800)
    wanted = compare.tree(tree.root)
    assert place.run(*words, "-vv").code == 0

    assert compare.different(wanted, compare.tree(copy)) == []
    after = inodes(copy)
    was = {inode: name for name, inode in before.items()}
    assert {name for name, inode in after.items() if inode not in was} == sent
    assert {name: was[inode] for name, inode in after.items() if name not in sent} == moved | {
        name: name for name in tree.untouched
    }
    told = counted(state)
    assert told == {"sent": 3200, "moved": 1000, "deleted": 800}
