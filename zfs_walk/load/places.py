"""Where a consumer's files are, below the folder that it has for itself."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from math import ceil
from typing import Protocol

from zfs_walk.load.shape import Shape
from zfs_walk.load.shares import Deck


class Places(Protocol):
    """Paths by the numbers of files."""

    def path(self, file: int) -> str:
        """Of a file; its folder is there."""

    def forget(self, file: int, /) -> None:
        """It is gone."""

    def tidy(self) -> Iterator[None]:
        """Remove folders that nothing is in; goes on in steps."""


class Flat:
    """All of them are in one folder.

    Args:
        folder: it.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def path(self, file: int) -> str:
        """Of a file."""
        return f"{self._folder}/{file:08d}"

    def forget(self, _file: int) -> None:
        """Nothing is known of it."""

    def tidy(self) -> Iterator[None]:
        """There is nothing to be tidied."""
        yield from ()


class Tree:
    """They are as deep as those of a walked tree, and about as many in a folder.

    Folders are numbered at each depth. A file of a depth is in the folder whose number is that of
    the files of its depth before it by the files of a folder, and a folder lies likewise in one
    above it: so no folder is made before it is wanted, and what is kept of them is one number a
    depth.

    Args:
        root: the folder that stands for the walked one; it is there.
        shape: of the walked tree.
        seed: of this consumer.
        at_once: files that are there at any time: where so many would have been in other folders,
            those are taken again; 0: all of them stay.
        about: called with the path of a folder before it is made.
    """

    def __init__(
        self, root: str, shape: Shape, seed: str, at_once: int, about: Callable[[str], None]
    ) -> None:
        self._root = root
        self._about = about
        self._depths = [depth for depth, _ in shape.depths]
        self._deck = Deck(f"depths {seed}", [files for _, files in shape.depths])
        self._per_folder = {depth: shape.files_per_folder(depth) for depth in self._depths}
        # Of each depth, how many folders are used until the first one is again; 0: that is never.
        self._round = {
            depth: ceil(at_once * files / shape.files / self._per_folder[depth])
            for depth, files in shape.depths
        }
        self._dealt = dict.fromkeys(self._depths, 0)
        self._fan = [1, *map(shape.folders_per_folder, range(1, len(shape.folders)))]
        self._made = [1] + [0] * (len(shape.folders) - 1)
        self._keep_one = not at_once
        self._folders: dict[int, str] = {}

    def path(self, file: int) -> str:
        """Of a file; one that was not asked for before gets its place."""
        folder = self._folders.get(file)
        if folder is None:
            folder = self._place()
            if self._keep_one:
                # Nobody asks for those that stay once they are whole.
                self._folders.clear()
            self._folders[file] = folder
        return f"{folder}/{file:08d}"

    def forget(self, file: int) -> None:
        """It is gone."""
        self._folders.pop(file, None)

    def _place(self) -> str:
        depth = self._depths[self._deck.draw()]
        number = int(self._dealt[depth] / self._per_folder[depth])
        if self._round[depth]:
            number %= self._round[depth]
        folder = self._folder(depth - 1, number)
        self._dealt[depth] += 1
        return folder

    def _folder(self, depth: int, number: int) -> str:
        """The path of a folder, which is made if need be."""
        if not depth:
            return self._root
        folder = f"{self._folder(depth - 1, number // self._fan[depth])}/d{number}"
        if number >= self._made[depth]:
            self._about(folder)
            os.mkdir(folder)  # noqa: PTH102 -- a Path costs as much again
            self._made[depth] = number + 1
        return folder

    def tidy(self) -> Iterator[None]:
        """Remove folders that nothing is in, the deepest first."""
        for depth in range(len(self._made) - 1, 0, -1):
            for number in range(self._made[depth]):
                yield
                with suppress(OSError):
                    os.rmdir(self._folder(depth, number))  # noqa: PTH106 -- likewise
