"""The folder that is mirrored: whether it is there, and is the one that it was."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from zfs_walk.errors import FolderError
from zfs_walk.mirror.anchor import Anchor, Likeness
from zfs_walk.watch.folder import Folder, look_at_folder
from zfs_walk.watch.watch import Watch, WatchOptions


class Device(NamedTuple):
    """The number of the folder's device has become another one."""

    before: int
    now: int


class Origin:
    """Watches the folder once it is there. One thread uses it.

    Args:
        folder: absolute path, without links.
        options: how it is watched.
        file: where it is kept which folder it is.
        wake: called, from another thread, when there is something new; must not wait.

    Attributes:
        watch: of the folder; None: it was never there.
        doubt: why it may be another folder than the one that was mirrored; empty: it is that one.
        device: its number is another one than what is known has.
    """

    def __init__(
        self, folder: bytes, options: WatchOptions, file: Path, wake: Callable[[], None]
    ) -> None:
        self.watch: Watch | None = None
        self.doubt = ""
        self.device: Device | None = None
        self._path = folder
        self._options = options
        self._file = file
        self._wake = wake
        self._before = Anchor.load(file)
        self._now: Anchor | None = None
        # Whatever folder is at the path now is the one that is mirrored.
        self._any = False

    def open(self) -> Watch:
        """The watch of the folder.

        Raises:
            FolderError: it is not there, can't be read, or is certainly not the one that it was.
            MonitorError: it can't be watched as the options say.
        """
        if self.watch is None:
            folder = look_at_folder(os.fsdecode(self._path))
            if folder.path != self._path:
                raise FolderError(path=os.fsdecode(self._path), reason="it is a link now")
            self._refuse_other(folder)
            watch = Watch(self._path, self._options, self._wake)
            try:
                watch.start()
            except BaseException:
                watch.close()
                raise
            self.watch = watch
        return self.watch

    def recognize(self, folder: Folder, known: int) -> None:
        """See whether a folder is the one that was mirrored; sets `doubt` and `device`.

        Args:
            folder: that is watched.
            known: files that are known to be on the other side.

        Raises:
            FolderError: it is certainly not, or it is gone.
        """
        self._refuse_other(folder)
        self._now = self._anchor(folder)
        before, self.doubt, self.device = self._before, "", None
        if self._any:
            self._any = False
            self.accept()
        elif before is None:
            if known:
                self.doubt = "nobody knows which folder was mirrored"
        elif before.likeness(self._now) is Likeness.UNSURE:
            self.doubt = "the folder is another one than before"
        if before is not None and before.dev != self._now.dev:
            self.device = Device(before.dev, self._now.dev)

    def accept(self) -> None:
        """The folder is the one that is mirrored, from now on.

        Raises:
            OSError: that can't be stored.
        """
        if self._now is None:
            self._any = True
            return
        self.doubt, self.device = "", None
        if self._before != self._now:
            self._now.store(self._file)
            self._before = self._now

    def close(self) -> None:
        """Watch no more."""
        if self.watch is not None:
            self.watch.close()

    def _refuse_other(self, folder: Folder) -> None:
        before, now = self._before, self._anchor(folder)
        if before is not None and not self._any and before.likeness(now) is Likeness.OTHER:
            self._now = None
            mounts = os.fsdecode(before.mount), os.fsdecode(now.mount)
            reason = "it was on what is mounted at {}, and is on {} now".format(*mounts)
            raise FolderError(path=os.fsdecode(self._path), reason=reason)

    @staticmethod
    def _anchor(folder: Folder) -> Anchor:
        try:
            return Anchor.of(folder)
        except OSError as error:
            raise FolderError(path=os.fsdecode(folder.path), reason=error.strerror) from error
