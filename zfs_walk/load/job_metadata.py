"""Work that creates, looks at, renames and deletes small files."""

import os
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from zfs_walk.load.hands import Hands
from zfs_walk.load.job import Job, Steps
from zfs_walk.load.spec import KINDS, LoadSpec, Sync
from zfs_walk.load.witness import What

PER_FOLDER: Final = 1_000
"""Small files of one folder."""


class Metadata(Job):
    """Creates, looks at, renames and deletes small files."""

    def __init__(
        self, spec: LoadSpec, seed: str, folder: str, hands: Hands, guard: Callable[[], str]
    ) -> None:
        super().__init__(spec, seed, folder, hands, guard)
        self._random = random.Random(f"metadata {self._seed}")  # noqa: S311 -- no secret
        # The number that a file's content has, the one that its name has, and its size.
        self._there: list[tuple[int, int, int]] = []
        self._names = 0
        self._folders: set[str] = set()

    def path(self, file: int) -> str:
        """Of a name, in a folder that has `PER_FOLDER` of them."""
        if self.spec.shape is not None:
            return super().path(file)
        return f"{self._folder}/{file // PER_FOLDER:06d}/{file:09d}"

    def lay_out(self, hands: Hands) -> Steps:
        """As many as there shall be on average."""
        for _ in range(self.spec.files):
            yield 0
            self._create(hands)

    def run(self) -> Steps:
        """Do it."""
        bounds = self.spec.metadata
        while True:
            kind = self._random.choices(KINDS, bounds)[0]
            kind = self._balanced(kind)
            yield 0
            match kind:
                case "create":
                    self._create(self.hands)
                case "stat":
                    self._stat()
                case "rename":
                    self._rename()
                case _:
                    yield from self._delete()

    def _balanced(self, kind: str) -> str:
        """So that about as many files are there as were laid out."""
        create, _, _, delete = self.spec.metadata
        if kind == "create" and delete and 2 * len(self._there) > 3 * self.spec.files:
            return "delete"
        if not self._there or (
            kind == "delete" and create and 2 * len(self._there) < self.spec.files
        ):
            return "create"
        return kind

    def _name(self) -> int:
        """A new one; its folder is there."""
        self._names += 1
        folder = self.path(self._names).rpartition("/")[0]
        if self.spec.shape is None and folder not in self._folders:
            Path(folder).mkdir(exist_ok=True)
            self._folders.add(folder)
        return self._names

    def _create(self, hands: Hands) -> None:
        name, size = self._name(), self._sizes.roll()
        path = hands.path = self.path(name)
        hands.content.take(name, 0, size, once=True)
        data = hands.content.block(0, size)

        def create() -> None:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
            try:
                if size:
                    os.pwrite(descriptor, data, 0)
                if self.spec.sync is not Sync.NONE:
                    os.fdatasync(descriptor)
            finally:
                os.close(descriptor)

        hands.counted("create", create)
        self.told(What.CLOSED, name, size)
        hands.figures.written += size
        self._there.append((name, name, size))
        self.hands.figures.kept += size

    def _pick(self) -> int:
        return int(self._random.random() * len(self._there))

    def _stat(self) -> None:
        self.hands.path = path = self.path(self._there[self._pick()][1])
        self.hands.counted("stat", lambda: os.stat(path))  # noqa: PTH116 -- what is measured

    def _rename(self) -> None:
        at = self._pick()
        file, name, size = self._there[at]
        self.hands.path = old = self.path(name)
        new_name = self._name()
        new = self.path(new_name)
        self.hands.counted("rename", lambda: os.rename(old, new))  # noqa: PTH104 -- likewise
        if self.witness is not None:
            self.witness.note(What.RENAMED, file, old, to=new)
        self._there[at] = file, new_name, size
        self.places.forget(name)

    def _delete(self) -> Steps:
        at = self._pick()
        file, name, size = self._there[at]
        path = self.path(name)
        if self.spec.verify and size:
            self._there[at] = file, name, size
            yield from self._verify(file, path, size)
        self._there[at] = self._there[-1]
        self._there.pop()
        self.hands.path = path
        self.hands.counted("delete", lambda: os.unlink(path))  # noqa: PTH108 -- likewise
        self.told(What.DELETED, name)
        self.places.forget(name)
        self.hands.figures.kept -= size

    def _verify(self, file: int, path: str, size: int) -> Steps:
        descriptor = self.hands.open_cold(path)
        try:
            yield size
            self.hands.content.take(file, 0, size, once=True)
            self.hands.verify(descriptor, 0, size)
            self.hands.check_size(descriptor, size)
        finally:
            os.close(descriptor)

    def finish(self) -> Steps:
        """Remove them, unless they are kept."""
        if self.spec.keep:
            return
        for _, name, size in self._there:
            yield 0
            self.remove(name, size)
        for folder in self._folders:
            with suppress(OSError):
                Path(folder).rmdir()
