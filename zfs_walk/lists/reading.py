"""Reading a list page by page while it changes (docs/protocol.md section 7, rule 5)."""

from typing import Final

from zfs_walk.lists.filelist import ROW, FileList
from zfs_walk.protocol.files import FileChanges, FilePage

UNKNOWN: Final = -1


class Reading:
    """A list that is being read: pages in the order of the names, and what changed meanwhile.

    Pages are made at different versions, and answers and stream travel on their own. So changes
    are kept by name until the last page is there; then the last state of each name is put over the
    pages. That is the list at the version of the last change, if none is missing from that of the
    first page on and none is older than the newest page.

    Attributes:
        number: of the question that is open; answers to earlier ones are not for this reading.
        after: the last name of the last page.
        files: the rows so far.
        edition: of the list; 0 until the first page.
        waiting: all pages are there.
        overdue: it was so at the last check already, and waited for changes.
    """

    def __init__(self, number: int) -> None:
        """Nothing is read yet."""
        self.number = number
        self.after = b""
        self.files = FileList()
        self.edition = 0
        self.waiting = self.overdue = False
        self._first = self._newest = UNKNOWN
        self._since = self._heard = UNKNOWN
        self._heard_edition = 0
        self._late: dict[bytes, bytes | None] = {}

    @property
    def version(self) -> int:
        """The version that the pages and changes so far lead to."""
        return self._first if self._heard == UNKNOWN else self._heard

    @property
    def whole(self) -> bool:
        """`finish` can be called."""
        return self.waiting and self.version >= self._newest

    def take(self, page: FilePage) -> bool:
        """The next page; False: it does not fit to what is there, begin again."""
        if not self.edition:
            self.edition, self._first = page.generation, page.version
            if self._heard_edition > page.generation:
                return False
            if self._heard_edition != page.generation:
                self._forget()
            elif self._since > page.version + 1:
                return False
        elif self.edition != page.generation:
            return False
        self.files.put(page.names, page.sizes, page.mtimes, page.flags)
        self._newest = max(self._newest, page.version)
        self.waiting = not page.more
        if page.names:
            self.after = page.names[-1]
        return True

    def hear(self, change: FileChanges) -> bool:
        """A change comes along the stream; False: one is missing before it, begin again."""
        edition = self.edition or self._heard_edition
        if edition and change.generation != edition:
            if self.edition:
                return change.generation < edition
            self._forget()
        last = self.version
        if last != UNKNOWN and change.version <= last:
            return True
        if last != UNKNOWN and change.version > last + 1:
            if self.edition:
                return False
            self._forget()
        if self._heard == UNKNOWN:
            self._since, self._heard_edition = change.version, change.generation
        self._heard = change.version
        self._late.update(dict.fromkeys(change.removed))
        self._late.update(
            zip(change.names, map(ROW.pack, change.sizes, change.mtimes, change.flags), strict=True)
        )
        return True

    def finish(self) -> FileList:
        """The list at `version`."""
        self.files.remove(name for name, row in self._late.items() if row is None)
        self.files.put_packed({name: row for name, row in self._late.items() if row is not None})
        self._late.clear()
        return self.files

    def _forget(self) -> None:
        self._since = self._heard = UNKNOWN
        self._heard_edition = 0
        self._late.clear()
