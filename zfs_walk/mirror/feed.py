"""What a watch tells, as changes for the queue. A core but for the links that are followed."""

from collections.abc import Iterable

from zfs_walk.mirror.mapper import Mapper
from zfs_walk.mirror.records import Change, Kind
from zfs_walk.watch.settle import QUIET
from zfs_walk.watch.tree import WRITING, Row


class Feed:
    """Makes changes of what a watch tells.

    Args:
        mapper: says which files are mirrored.
        complete_sync: what is deleted here is deleted there ...
        deletion_delay: ... after so many seconds.
    """

    def __init__(self, mapper: Mapper, *, complete_sync: bool, deletion_delay: float) -> None:
        self._mapper = mapper
        self._deletion_delay = deletion_delay
        self._complete_sync = complete_sync

    def changes(self, removed: Iterable[bytes], rows: Iterable[Row], now: float) -> list[Change]:
        """What is to be queued.

        Args:
            removed: names that left the list.
            rows: that are new in the list, or others than before.
            now: seconds since the epoch.
        """
        changes = []
        names = []
        for name in removed:
            names.append(name)
            self._mapper.forget(name)
            changes += self._gone(name, now)
        for row in rows:
            names.append(row.name)
            if row.flags & WRITING and not _is_old(row, now):
                continue  # when that is over it comes once more
            sent = self._mapper.take(row)
            if sent is None:
                changes += self._gone(row.name, now)
            else:
                changes.append(Change(sent.name, Kind.SEND, sent.size, now))
        for link in self._mapper.led_to(names):
            changes.append(Change(link, Kind.SEND, 0, now))
        return changes

    def _gone(self, name: bytes, now: float) -> list[Change]:
        if not self._complete_sync:
            return []
        return [Change(name, Kind.DELETE, 0, now + self._deletion_delay)]


def _is_old(row: Row, now: float) -> bool:
    """Whether nobody has written to a file for a while.

    A poll can't tell a file that is being written from one that has got its name: that one must
    not wait until what had its old name is deleted on the other side.
    """
    return row.mtime_ns + QUIET * 1e9 <= now * 1e9
