"""The directories that a monitor knows: the system names them by a key, we by their path.

A key is what the kernel says an event happened in (a watch descriptor, a file handle); it goes
along when the directory is renamed. Only names are kept, so that renaming a directory costs the
same for one with a million directories below it as for an empty one.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class _Directory(Generic[Key]):
    __slots__ = ("below", "key", "name", "parent")

    def __init__(self, parent: "_Directory[Key] | None", name: bytes) -> None:
        self.parent = parent
        self.name = name
        self.key: Key | None = None
        self.below: dict[bytes, _Directory[Key]] | None = None


class Directories(Generic[Key]):
    """The directories of one folder by their keys. Paths are relative to the folder."""

    def __init__(self) -> None:
        self._root: _Directory[Key] = _Directory(None, b"")
        self._by_key: dict[Key, _Directory[Key]] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def path(self, key: Key) -> bytes | None:
        """Where the directory is; None: it is not known."""
        found = self._by_key.get(key)
        if found is None:
            return None
        if found.parent is self._root or found is self._root:
            return found.name
        names = []
        at: _Directory[Key] | None = found
        while at is not None and at is not self._root:
            names.append(at.name)
            at = at.parent
        names.reverse()
        return b"/".join(names)

    def put(self, path: bytes, key: Key) -> list[Key]:
        """A directory is at ``path``.

        Returns:
            The keys of what was known to be there, which therefore is there no more.
        """
        there = self._at(path)
        if there is not None and there.key == key:
            return []
        gone = [] if there is None or there.key is None else self.remove(path)
        known = self._by_key.get(key)
        if known is not None and known is not self._root:
            # It came here without our being told; what is below it came along.
            self._detach(known)
            self._attach(known, path)
        else:
            at = self._make(path)
            at.key = key
            self._by_key[key] = at
        return [other for other in gone if other != key]

    def move(self, old: bytes, new: bytes) -> list[Key]:
        """A directory was renamed, with all below it.

        Returns:
            The keys of what was known to be at ``new``.
        """
        moved = self._at(old)
        gone = self.remove(new)
        if moved is not None and moved is not self._root:
            self._detach(moved)
            self._attach(moved, new)
        return gone

    def remove(self, path: bytes) -> list[Key]:
        """Forget a directory and all below it; returns their keys."""
        found = self._at(path)
        if found is None:
            return []
        self._detach(found)
        keys = []
        left = [found]
        while left:
            at = left.pop()
            if at.key is not None:
                keys.append(at.key)
                del self._by_key[at.key]
                at.key = None
            left.extend((at.below or {}).values())
        found.below = None
        return keys

    def discard(self, key: Key) -> None:
        """A key means nothing any more; directories below keep theirs."""
        found = self._by_key.pop(key, None)
        if found is None:
            return
        found.key = None
        if not found.below:
            self._detach(found)

    def _at(self, path: bytes) -> _Directory[Key] | None:
        at = self._root
        if not path:
            return at
        for name in path.split(b"/"):
            found = (at.below or {}).get(name)
            if found is None:
                return None
            at = found
        return at

    def _make(self, path: bytes) -> _Directory[Key]:
        at = self._root
        if not path:
            return at
        for name in path.split(b"/"):
            if at.below is None:
                at.below = {}
            found = at.below.get(name)
            if found is None:
                found = at.below[name] = _Directory(at, name)
            at = found
        return at

    def _attach(self, directory: _Directory[Key], path: bytes) -> None:
        above, _, directory.name = path.rpartition(b"/")
        parent = self._make(above)
        if parent.below is None:
            parent.below = {}
        parent.below[directory.name] = directory
        directory.parent = parent

    @staticmethod
    def _detach(directory: _Directory[Key]) -> None:
        parent = directory.parent
        if parent is not None and parent.below is not None:
            parent.below.pop(directory.name, None)
            if not parent.below:
                parent.below = None
