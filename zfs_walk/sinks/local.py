"""Files to a folder of this host, or of one that is mounted: ``file:///path``."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from zfs_walk import faults
from zfs_walk.sinks.beneath import Chain, shown
from zfs_walk.sinks.errors import (
    MissingError,
    SinkError,
    StoppedError,
    TransientError,
)
from zfs_walk.sinks.folder import Folder, is_file, remote_of, stat_of
from zfs_walk.sinks.interface import Memory, Remote, Report
from zfs_walk.sinks.part import PATTERN, Part, new_name
from zfs_walk.sinks.source import Source

_CHUNK: Final = 1 << 20
# A transfer that is shorter than this is begun again: to remember it takes longer.
_RESUMED: Final = 16 << 20
# After a kill so much is sent again at most; each step waits for the disk.
_STEP: Final = 64 << 20
# Another thread may take away a folder that is empty just before we use it.
_ATTEMPTS: Final = 10
_PART: Final = "part"  # key of a memory; under the name that it has, how much of it is right


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        reason = "must be an absolute path"
        raise ValueError(reason)
    return path


class LocalOptions(BaseModel):
    """``options:`` of a mapping to ``file://``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fsync: bool = Field(default=True, description="a file is on the disk before it is done")
    mount: Annotated[Path, AfterValidator(_absolute)] | None = Field(
        default=None, description="nothing is sent unless this is a mount point"
    )


class LocalSink(Folder):
    """See `zfs_walk.sinks.interface.Sink`.

    The folder must exist; it is never made, since it may lie on what is not mounted now.
    """

    Options: ClassVar[type[Any]] = LocalOptions

    def __init__(self, url: str, options: LocalOptions) -> None:
        mount = None if options.mount is None else os.fsencode(options.mount)
        super().__init__(url, mount)
        self._fsync = options.fsync

    # ------------------------------------------------------------------ sending

    def send(self, source: Source, name: bytes, memory: Memory, report: Report) -> Remote:
        """Under a name that is nobody's in the same folder, then renamed."""
        found = self._parts(name)
        if source.target is not None:
            return self._send_link(source, source.target, found, report)
        large = source.size >= _RESUMED
        with contextlib.ExitStack() as held:
            with self._work(name):
                chain, part, offset = self._begin(held, found, memory if large else None)
            faults.point("file.begun")
            try:
                self._fill(part, source, offset, memory if large else None, report)
                with self._work(name):
                    self._finish(part, source)
                source.check()
                faults.point("file.written")
                with self._work(name):
                    self._show(chain, part.name, found[-1])
                    faults.point("file.shown")
                    return remote_of(name, os.fstat(part.descriptor))
            except StoppedError:
                if not large:
                    part.remove()
                raise
            except BaseException:
                part.remove()
                raise

    def _begin(
        self, held: contextlib.ExitStack, found: Sequence[bytes], memory: Memory | None
    ) -> tuple[Chain, Part, int]:
        """The folder, a part in it, and how many of its bytes are right."""
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(FileNotFoundError):
                chain = held.enter_context(self._root.folder(found[:-1], make=True))
                part, offset = self._part(chain.last, memory)
                return chain, held.enter_context(part), offset
        raise self._restless(found)

    def _restless(self, found: Sequence[bytes]) -> TransientError:
        reason = "its folder goes away again and again"
        return TransientError(place=shown(self._full(found)), reason=reason)

    def _part(self, folder: int, memory: Memory | None) -> tuple[Part, int]:
        stored = {} if memory is None else memory.load()
        if begun := stored.get(_PART):
            # It may be gone, or in the hands of one who is to end.
            with contextlib.suppress(OSError):
                part = Part(folder, begun.encode(), make=False)
                offset = min(int(stored.get(begun, 0)), part.size)
                part.cut(offset)
                return part, offset
        name = new_name(self._client)
        if memory is not None:
            memory.store(_PART, name.decode())
        return Part(folder, name, make=True), 0

    def _fill(
        self, part: Part, source: Source, offset: int, memory: Memory | None, report: Report
    ) -> None:
        durable = offset
        try:
            while offset < source.size:
                size = min(_CHUNK, source.size - offset)
                report(size)
                taken = part.take(source.fileno(), size, offset)
                if taken < size:
                    content = source.read(size - taken, offset + taken)
                    with self._work(source.name):
                        part.write(content, offset + taken)
                offset += size
                if memory is not None and offset - durable >= _STEP:
                    self._remember(part, offset, memory)
                    durable = offset
                    faults.point("file.remembered")
        except StoppedError:
            if memory is not None:
                self._remember(part, offset, memory)
            raise

    def _remember(self, part: Part, offset: int, memory: Memory) -> None:
        with self._work(b""):
            self._sync(part)
        memory.store(part.name.decode(), str(offset))

    def _sync(self, part: Part) -> None:
        if self._fsync:
            os.fsync(part.descriptor)

    def _finish(self, part: Part, source: Source) -> None:
        # Some file systems have no permissions. Set-id bits are for the owner's files only.
        with contextlib.suppress(PermissionError):
            os.fchmod(part.descriptor, source.stat.st_mode & 0o777)
        os.utime(part.descriptor, ns=(source.stat.st_atime_ns, source.stat.st_mtime_ns))
        self._sync(part)

    def _send_link(
        self, source: Source, target: bytes, found: Sequence[bytes], report: Report
    ) -> Remote:
        report(source.size)
        with self._work(source.name), contextlib.ExitStack() as held:
            temporary = new_name(self._client)
            for _ in range(_ATTEMPTS):
                with contextlib.suppress(FileNotFoundError):
                    chain = held.enter_context(self._root.folder(found[:-1], make=True))
                    os.symlink(target, temporary, dir_fd=chain.last)
                    break
            else:
                raise self._restless(found)
            try:
                times = (source.stat.st_atime_ns, source.stat.st_mtime_ns)
                os.utime(temporary, ns=times, dir_fd=chain.last, follow_symlinks=False)
                source.check()
                self._show(chain, temporary, found[-1])
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=chain.last)
                raise
            return remote_of(b"/".join(found), stat_of(chain.last, found[-1]))

    def _show(self, chain: Chain, temporary: bytes, last: bytes) -> None:
        try:
            os.rename(temporary, last, src_dir_fd=chain.last, dst_dir_fd=chain.last)
        except IsADirectoryError:
            # An empty one is what a deletion left that was killed.
            with contextlib.suppress(OSError):
                os.rmdir(last, dir_fd=chain.last)
            os.rename(temporary, last, src_dir_fd=chain.last, dst_dir_fd=chain.last)
        if self._fsync:
            chain.sync()

    def abandon(self, name: bytes, memory: Memory) -> None:
        """Remove the part, and parents that were made for it."""
        above = self._parts(name)[:-1]
        begun = memory.load().get(_PART, "").encode()
        if not PATTERN.fullmatch(begun):
            return
        with self._work(name):
            with (
                contextlib.suppress(FileNotFoundError, NotADirectoryError),
                self._root.folder(above) as chain,
            ):
                os.unlink(begun, dir_fd=chain.last)
            self._root.prune(above)

    # ------------------------------------------------------------------ changing

    def delete(self, name: bytes) -> None:
        """Only files and links are taken away."""
        *above, last = self._parts(name)
        with self._work(name):
            with (
                contextlib.suppress(FileNotFoundError, NotADirectoryError),
                self._root.folder(above) as chain,
            ):
                if is_file(stat_of(chain.last, last)):
                    os.unlink(last, dir_fd=chain.last)
                    if self._fsync:
                        chain.sync()
            self._root.prune(above)

    def move(self, old: bytes, new: bytes) -> Remote:
        """One rename; two if one name is below the other."""
        source, target = self._parts(old), self._parts(new)
        with self._work(new):
            found = self.look(old)
            if found is None:
                found = self.look(new)
                if found is None:
                    place = shown(self._full(source))
                    raise MissingError(place=place, reason="it is to be moved")
                self._root.prune(source[:-1])
                return found
            if target[: len(source)] == source or source[: len(target)] == target:
                # Neither can be while the other is.
                self._rename_by_way(source, target)
            else:
                self._rename(source, target)
            moved = self.look(new)
        if moved is None:
            raise self._restless(target)
        return moved

    def _rename_by_way(self, source: Sequence[bytes], target: Sequence[bytes]) -> None:
        between = [new_name(self._client)]
        self._rename(source, between)
        try:
            self._rename(between, target)
        except (OSError, SinkError):
            try:
                self._rename(between, source)
            except (OSError, SinkError):
                # Something else has that name by now: it is sent anew, nobody comes back for this.
                with contextlib.suppress(OSError), self._root.root() as folder:
                    os.unlink(between[0], dir_fd=folder)
            raise

    def _rename(self, source: Sequence[bytes], target: Sequence[bytes]) -> None:
        for _ in range(_ATTEMPTS):
            with (
                contextlib.suppress(FileNotFoundError),
                self._root.folder(source[:-1]) as before,
                self._root.folder(target[:-1], make=True) as after,
            ):
                os.rename(source[-1], target[-1], src_dir_fd=before.last, dst_dir_fd=after.last)
                if self._fsync:
                    after.sync()
                    before.sync()
                break
        else:
            raise self._restless(target)
        self._root.prune(source[:-1])
