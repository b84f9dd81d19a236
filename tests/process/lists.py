"""What a bus tells of scouts' folders, and what find tells of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.process import oracle
from tests.process.place import PATIENCE, Process, Site, wait_for
from zfs_walk.bus.client import Client
from zfs_walk.bus.curve import Curve
from zfs_walk.bus.sockets import Bus
from zfs_walk.errors import RefusedError
from zfs_walk.protocol.client import Snapshot, SnapshotReply
from zfs_walk.protocol.files import ClaimLine, ClaimList, Claims, FilePage, FilesQuery
from zfs_walk.protocol.statistics import ScoutStatistics


class File(NamedTuple):
    """A regular file or a symbolic link."""

    name: bytes
    size: int
    mtime_ns: int


def found(folder: Path) -> list[File]:
    """What find finds, without the names that begin with a dot; unreadable folders are empty."""
    out = oracle.find(
        folder, "-mindepth", "1", "-name", ".*", "-prune",
        "-o", "(", "-type", "f", "-o", "-type", "l", ")", "-printf", r"%P\0%s\0%T@\0",
    )  # fmt: skip
    fields = iter(out.split(b"\0")[:-1])
    files = [File(*row) for row in zip(fields, map(int, fields), map(_ns, fields), strict=True)]
    return sorted(files)


def _ns(stamp: bytes) -> int:
    """Of ``%T@``: seconds, a point, ten digits."""
    seconds, _, fraction = stamp.partition(b".")
    return int(seconds) * 10**9 + int(fraction[:9])


class Reader:
    """Asks the broker of a site."""

    def __init__(self, site: Site, bus: Bus) -> None:
        self._client = Client(bus, (site.endpoint,), "reader", "0", timeout=PATIENCE)

    def claims(self) -> dict[Path, ClaimLine]:
        """Claims by folder."""
        listed: ClaimList = self._client.ask(Claims)
        return {Path(line.path.decode()): line for line in listed.claims}

    def serves(self, folder: Path) -> bool:
        """The folder's files are in the answers."""
        line = self.claims().get(folder)
        return line is not None and line.serving

    def files(self, folder: Path) -> list[File] | None:
        """The files of a folder; None: it is in no answer."""
        line = self.claims().get(folder)
        if line is None or not line.serving:
            return None
        files: list[File] = []
        more = True
        try:
            while more:
                page = self._page(line, files[-1].name if files else b"")
                files += map(File, page.names, page.sizes, page.mtimes)
                more = page.more
        except RefusedError:  # it has just left the answers
            return None
        return files

    def _page(self, line: ClaimLine, after: bytes) -> FilePage:
        def query(name: str, until: int) -> FilesQuery:
            return FilesQuery(name, until, line.host, line.path, b"", after, 2_000)

        page: FilePage = self._client.ask(query)
        return page

    def statistics(self, scout: Process) -> ScoutStatistics | None:
        """What a scout has published last."""
        reply: SnapshotReply = self._client.ask(Snapshot)
        found = [each for each in reply.scouts if each.origin.pid == scout.pid]
        return found[0].statistics if found else None

    def health(self, scout: Process) -> str:
        """What a scout says of itself."""
        told = self.statistics(scout)
        return "" if told is None else told.health

    def agrees(self, folder: Path) -> bool:
        """The list is what find finds."""
        return self.files(folder) == found(folder)

    def comes_to_agree(self, folder: Path, what: str) -> None:
        """Wait until the list is what find finds."""
        wait_for(f"the list is find's: {what}", lambda: self.agrees(folder))

    def close(self) -> None:
        """Close the socket."""
        self._client.close()


@contextmanager
def reading(site: Site) -> Iterator[Reader]:
    """A reader of a site whose broker is there."""
    keys = site.connection()
    bus = Bus(Curve(keys["public"], keys["secret"], keys["server"]))
    reader = Reader(site, bus)
    try:
        yield reader
    finally:
        reader.close()
        bus.close()
