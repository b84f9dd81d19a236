"""Names that are two here, and one on the other side. A core."""

import unicodedata
from collections.abc import Sequence

from zfs_walk.sinks.interface import Remote


class Twins:
    """Finds them by what a look finds under a name that the other side's list does not have.

    Args:
        remotes: the list.

    Attributes:
        found: pairs: the name that was looked at, and the one that the list has.
    """

    def __init__(self, remotes: Sequence[Remote]) -> None:
        self.found: list[tuple[bytes, bytes]] = []
        self._remotes = remotes
        self._listed: dict[str, Remote] | None = None

    def unlisted(self, remote: Remote) -> None:
        """A look has found a file, which is not what was sent, under a name that is not listed."""
        if self._listed is None:
            self._listed = {_folded(each.name): each for each in self._remotes}
        listed = self._listed.get(_folded(remote.name))
        if listed is None or listed.name == remote.name:
            return
        if listed.mtime_ns is None:  # the list tells no times
            remote = remote._replace(mtime_ns=None)
        if listed[1:] == remote[1:]:
            self.found.append((remote.name, listed.name))


def _folded(name: bytes) -> str:
    """What servers that ignore case, or compose letters, may take for the same name."""
    text = name.decode(errors="surrogateescape")
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
