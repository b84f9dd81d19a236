"""A tree for a mirror, and random changes of it: the same ones for the same seed.

Which change comes next depends on the seed and on what was done, never on the disk or on time, so
that a failure can be made again, and two trees made from one seed are equal.
"""

import os
import random
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

ODD: Final = (
    b"with space", b"-dash", b".hidden", b"#hash?", b"100%", b"%41", b"a+b", b"quote'\"`$(x)",
    b"back\\slash", b"[glob]*", b"new\nline", b"trailing.", b"caf\xc3\xa9", b"cafe\xcc\x81",
    b"not\xffutf8", b"\xc3", b"\xf0\x9f\x98\x80", b"UPPER", b"upper", b"x" * 100,
)  # fmt: skip
"""Parts of names; every sink takes them, encoded if need be."""

DEEPEST: Final = 6
"""Parts of a name: so that also encoded ones stay below the 1,024 bytes of S3."""

BLOCK: Final = 1 << 20


class Changes:
    """Makes files below a folder and changes them.

    Args:
        root: the folder; it is there, and empty.
        seed: of the changes.
        largest: bytes, of the files that are made by changes.
        flips: a file's name may become a folder's, and the other way round.

    Attributes:
        files: below the folder, by name, as they are now.
        deleted: files that were deleted after they were `settled`, and under whose name nothing
            came since.
    """

    def __init__(
        self, root: Path, seed: int, *, largest: int = 4 << 20, flips: bool = True
    ) -> None:
        self._root = os.fsencode(root)
        self._random = random.Random(seed)
        self._largest = largest
        self._folders: list[bytes] = [b""]
        self._settled: set[bytes] = set()
        self.files: list[bytes] = []
        self.deleted: set[bytes] = set()
        kinds: list[tuple[int, Callable[[], bool]]] = [
            (20, self.create), (12, self.modify), (12, self.append), (3, self.truncate),
            (12, self.rename_file), (5, self.rename_onto), (3, self.rename_folder),
            (12, self.delete), (1, self.delete_folder), (10, self.replace), (3, self.swap),
            (5, self.chmod), (3, self.touch),
        ]  # fmt: skip
        if flips:
            kinds += [(2, self.file_becomes_folder), (2, self.folder_becomes_file)]
        self._weights = [weight for weight, _ in kinds]
        self._kinds = [kind for _, kind in kinds]

    # ------------------------------------------------------------------ what a test calls

    def plant(self, files: int, large: Iterable[int] = ()) -> None:
        """Make a tree.

        Args:
            files: how many, of 0 bytes to some hundred KiB.
            large: bytes of further ones.
        """
        for _ in range(files):
            self.create()
        for number, size in enumerate(large):
            self._write(b"large%d" % number, size)

    def step(self) -> str:
        """Change something.

        Returns:
            What it was.
        """
        while True:
            [kind] = self._random.choices(self._kinds, self._weights)
            if kind():
                return kind.__name__

    def settled(self) -> None:
        """What is there now is known to have been sent."""
        self._settled = set(self.files)

    # ------------------------------------------------------------------ changes of files

    def create(self) -> bool:
        """A new file, sometimes in a new folder."""
        name = self._new_name()
        if name is None:
            return False
        self._write(name, self._size())
        return True

    def modify(self) -> bool:
        """Other bytes in the middle; the size stays."""
        name = self._some_file()
        if name is None or not (size := os.stat(self._path(name)).st_size):
            return False
        offset = self._random.randrange(size)
        content = self._random.randbytes(min(size - offset, self._random.randint(1, 10_000)))
        with open(self._path(name), "r+b") as file:
            file.seek(offset)
            file.write(content)
        return True

    def append(self) -> bool:
        """More at the end."""
        name = self._some_file()
        if name is None:
            return False
        with open(self._path(name), "ab") as file:
            file.write(self._random.randbytes(self._random.randint(1, 20_000)))
        return True

    def truncate(self) -> bool:
        """Less, perhaps nothing."""
        name = self._some_file()
        if name is None:
            return False
        path = self._path(name)
        os.truncate(path, self._random.randint(0, os.stat(path).st_size))
        return True

    def replace(self) -> bool:
        """As editors save: another file under a passing name takes the place."""
        name = self._some_file()
        if name is None:
            return False
        passing = self._path(name)[:-1] + b".tmp~"
        if os.path.lexists(passing):
            return False
        self._fill(passing, self._size())
        os.rename(passing, self._path(name))
        return True

    def chmod(self) -> bool:
        """Other permissions; its owner can still read it."""
        name = self._some_file()
        if name is None:
            return False
        os.chmod(self._path(name), self._random.choice([0o600, 0o644, 0o640, 0o755, 0o400]) | 0o200)
        return True

    def touch(self) -> bool:
        """Another time, also one that is long ago; the content stays."""
        name = self._some_file()
        if name is None:
            return False
        when = self._random.randint(1, 1_700_000_000_000_000_000)
        os.utime(self._path(name), ns=(when, when))
        return True

    def delete(self) -> bool:
        """A file goes."""
        name = self._some_file()
        if name is None:
            return False
        os.unlink(self._path(name))
        self._gone(name, deleted=True)
        return True

    # ------------------------------------------------------------------ changes of names

    def rename_file(self) -> bool:
        """To a name that nothing has."""
        old, new = self._some_file(), self._new_name()
        if old is None or new is None:
            return False
        os.rename(self._path(old), self._path(new))
        self._gone(old, deleted=False)
        self._came(new)
        return True

    def rename_onto(self) -> bool:
        """In place of another file."""
        old, new = self._some_file(), self._some_file()
        if old is None or new is None or old == new:
            return False
        os.rename(self._path(old), self._path(new))
        self._gone(old, deleted=False)
        self._settled.discard(new)
        return True

    def swap(self) -> bool:
        """Two files change names."""
        one, two = self._some_file(), self._some_file()
        passing = self._root + b"/.swap"
        if one is None or two is None or one == two:
            return False
        os.rename(self._path(one), passing)
        os.rename(self._path(two), self._path(one))
        os.rename(passing, self._path(two))
        self._settled -= {one, two}
        return True

    def rename_folder(self) -> bool:
        """With all that it has, perhaps into another one."""
        old, above = self._random.choice(self._folders), self._random.choice(self._folders)
        new = self._join(above, self._part())
        inside = above == old or above.startswith(old + b"/")
        deepest = max((name.count(b"/") for name in self._below(old)), default=0)
        too_deep = deepest - old.count(b"/") + new.count(b"/") >= DEEPEST
        if not old or inside or too_deep or self._is_taken(new):
            return False
        files = [name for name in self.files if self._is_below(name, old)]
        os.rename(self._path(old), self._path(new))
        for name in files:
            self._gone(name, deleted=False)
            self._came(new + name[len(old) :])
        self._folders = [
            new + name[len(old) :] if self._is_below(name, old) else name for name in self._folders
        ]
        return True

    def delete_folder(self) -> bool:
        """With all that it has, if that is not most of all."""
        folder = self._random.choice(self._folders)
        files = [name for name in self.files if self._is_below(name, folder)]
        if not folder or len(files) * 4 > len(self.files):
            return False
        self._remove_folder(folder)
        return True

    def file_becomes_folder(self) -> bool:
        """A folder with a file takes the name of a file; sometimes the file is that one."""
        name = self._some_file()
        if name is None or name.count(b"/") >= DEEPEST - 1:
            return False
        below = self._join(name, self._part())
        moved = self._random.random() < 0.5
        passing = self._root + b"/.passing"
        os.rename(self._path(name), passing)
        os.mkdir(self._path(name))
        self._gone(name, deleted=not moved)
        self._folders.append(name)
        if moved:
            os.rename(passing, self._path(below))
            self._came(below)
        else:
            os.unlink(passing)
            self._write(below, self._size())
        return True

    def folder_becomes_file(self) -> bool:
        """A file takes the name of a folder, which goes with all that it has."""
        folder = self._random.choice(self._folders)
        files = [name for name in self.files if self._is_below(name, folder)]
        if not folder or len(files) > 20:
            return False
        self._remove_folder(folder)
        self._write(folder, self._size())
        return True

    # ------------------------------------------------------------------ names

    def _path(self, name: bytes) -> bytes:
        return self._root + b"/" + name

    @staticmethod
    def _join(above: bytes, part: bytes) -> bytes:
        return above + b"/" + part if above else part

    @staticmethod
    def _is_below(name: bytes, folder: bytes) -> bool:
        return name == folder or name.startswith(folder + b"/")

    def _below(self, folder: bytes) -> list[bytes]:
        return [name for name in self.files + self._folders if self._is_below(name, folder)]

    def _some_file(self) -> bytes | None:
        return self._random.choice(self.files) if self.files else None

    def _part(self) -> bytes:
        number = b"%05d" % self._random.randrange(100_000)
        if self._random.random() < 0.1:
            return self._random.choice(ODD) + number
        return b"n" + number

    def _new_name(self) -> bytes | None:
        """A name that nothing has; its folder is made."""
        folder = self._random.choice(self._folders)
        if self._random.random() < 0.05 and folder.count(b"/") < DEEPEST - 2:
            folder = self._join(folder, self._part())
        name = self._join(folder, self._part())
        if folder not in self._folders:
            if self._is_taken(folder):
                return None
            os.mkdir(self._path(folder))
            self._folders.append(folder)
        return None if os.path.lexists(self._path(name)) else name

    def _is_taken(self, folder: bytes) -> bool:
        """What was deleted may still be on the other side, where deletions are not mirrored."""
        return folder in self.deleted or os.path.lexists(self._path(folder))

    def _came(self, name: bytes) -> None:
        self.files.append(name)
        self.deleted.discard(name)

    def _gone(self, name: bytes, *, deleted: bool) -> None:
        self.files.remove(name)
        if deleted and name in self._settled:
            self.deleted.add(name)
        self._settled.discard(name)

    def _remove_folder(self, folder: bytes) -> None:
        shutil.rmtree(self._path(folder))
        for name in [name for name in self.files if self._is_below(name, folder)]:
            self._gone(name, deleted=True)
        self._folders = [name for name in self._folders if not self._is_below(name, folder)]

    # ------------------------------------------------------------------ content

    def _size(self) -> int:
        """Most are small, some empty, few large."""
        most = self._random.choices([0, 100, 10_000, 200_000, self._largest], [5, 25, 60, 9, 1])[0]
        return self._random.randint(most // 10, most)

    def _write(self, name: bytes, size: int) -> None:
        self._fill(self._path(name), size)
        self._came(name)

    def _fill(self, path: bytes, size: int) -> None:
        with open(path, "wb") as file:
            file.writelines(
                self._random.randbytes(min(BLOCK, size - offset))
                for offset in range(0, size, BLOCK)
            )
