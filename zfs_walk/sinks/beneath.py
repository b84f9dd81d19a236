"""A folder, and what is below it: nothing else can be reached, whatever a name or a link says.

Every way down is a chain of descriptors, each opened in the one above without following a link. The
folder itself is opened anew each time, so that nobody is kept from unmounting what it lies on.
"""

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from typing import Final

from zfs_walk import names
from zfs_walk.sinks.errors import (
    FileRefusedError,
    FullSinkError,
    MissingError,
    NameRefusedError,
    SinkError,
    SinkRefusedError,
    TransientError,
    UnreachableSinkError,
)

_ROOT: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_BELOW: Final = _ROOT | os.O_NOFOLLOW

_IN_THE_WAY: Final = frozenset((errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EEXIST))
"""A name is a folder's and should be a file's, or the other way round, or is a link's."""

_BY_ERRNO: Final[dict[int, type[SinkError]]] = {
    errno.ENOSPC: FullSinkError,
    errno.EDQUOT: FullSinkError,
    errno.EROFS: SinkRefusedError,
    errno.ENAMETOOLONG: NameRefusedError,
    errno.EILSEQ: NameRefusedError,
    # A file is not moved to another file system.
    errno.EXDEV: MissingError,
    errno.EFBIG: FileRefusedError,
    errno.EACCES: FileRefusedError,
    errno.EPERM: FileRefusedError,
    errno.ESTALE: UnreachableSinkError,
    errno.ENODEV: UnreachableSinkError,
    errno.ENXIO: UnreachableSinkError,
    errno.ENOTCONN: UnreachableSinkError,
    errno.EHOSTDOWN: UnreachableSinkError,
    errno.ETIMEDOUT: UnreachableSinkError,
}


def shown(path: bytes) -> str:
    """A path for people."""
    return names.text(path)[0]


@contextlib.contextmanager
def translated(path: bytes, *, whole: bool = False) -> Iterator[None]:
    """Make errors of the system those of a sink.

    Args:
        path: what the work is about.
        whole: it stands for all files of the sink.

    Raises:
        SinkError: of the kind that follows from the system's error.
    """
    try:
        yield
    except OSError as error:
        kind = _BY_ERRNO.get(error.errno or 0, TransientError)
        if whole and kind is FileRefusedError:
            kind = SinkRefusedError
        reason = error.strerror or str(error)
        if error.errno in _IN_THE_WAY:
            reason = f"{reason}: a folder, a file or a link is in the way"
        raise kind(place=shown(path), reason=reason) from error


class Beneath:
    """The folder.

    Args:
        path: absolute.
        mount: what must be mounted for the folder to be the right one; None: what is mounted when
            it is first used must stay.
    """

    def __init__(self, path: bytes, mount: bytes | None) -> None:
        self.path = path
        self._mount = mount
        self._device: int | None = None

    @contextlib.contextmanager
    def root(self) -> Iterator[int]:
        """Its descriptor.

        Raises:
            UnreachableSinkError: it is not there, or not what was there before.
            SinkRefusedError: it may not be opened.
        """
        try:
            descriptor = os.open(self.path, _ROOT)
        except OSError as error:
            refused = error.errno in {errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ELOOP}
            kind = SinkRefusedError if refused else UnreachableSinkError
            missing = "there is no such folder: make it, or mount what it lies on"
            reason = missing if error.errno == errno.ENOENT else error.strerror
            raise kind(place=shown(self.path), reason=reason) from error
        try:
            self._check_mount(os.fstat(descriptor).st_dev)
            yield descriptor
        finally:
            os.close(descriptor)

    def _check_mount(self, device: int) -> None:
        # The same device is the same file system; another one may be the same, mounted again.
        if device == self._device:
            return
        if self._mount is None:
            self._mount = _mount_point(self.path)
        if not os.path.ismount(self._mount):
            reason = f"nothing is mounted on {shown(self._mount)}"
            raise UnreachableSinkError(place=shown(self.path), reason=reason)
        self._device = device

    @contextlib.contextmanager
    def folder(self, parts: Sequence[bytes], *, make: bool = False) -> Iterator["Chain"]:
        """A folder below, and those on the way.

        Args:
            parts: of its name.
            make: folders that are missing are made.

        Raises:
            FileNotFoundError: it is not there.
            OSError: it can't be opened or made.
            SinkError: as `root`.
        """
        with self.root() as root, contextlib.ExitStack() as held:
            descriptors, made = [root], 0
            for part in parts:
                above = descriptors[-1]
                if make:
                    with contextlib.suppress(FileExistsError):
                        # The umask says who may enter.
                        os.mkdir(part, 0o777, dir_fd=above)
                        made += 1
                below = os.open(part, _BELOW, dir_fd=above)
                held.callback(os.close, below)
                descriptors.append(below)
            yield Chain(descriptors, parts, made)

    def prune(self, parts: Sequence[bytes]) -> None:
        """Take away a folder and those above it, as far as they are empty."""
        for depth in range(len(parts), 0, -1):
            try:
                with self.folder(parts[: depth - 1]) as chain:
                    os.rmdir(parts[depth - 1], dir_fd=chain.last)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError:
                return


class Chain:
    """Folders that are open, each in the one before.

    Attributes:
        last: descriptor of the last one.
    """

    def __init__(self, descriptors: Sequence[int], parts: Sequence[bytes], made: int) -> None:
        self._descriptors = descriptors
        self._parts = parts
        self._made = made
        self.last = descriptors[-1]

    def sync(self) -> None:
        """Make names durable: of the last folder, and of those that were made on the way."""
        for descriptor in self._descriptors[-1 - self._made :]:
            os.fsync(descriptor)


def _mount_point(path: bytes) -> bytes:
    """The mount point that a path lies on."""
    path = os.path.realpath(path)
    while not os.path.ismount(path):
        path = path.rpartition(b"/")[0] or b"/"
    return path
