"""One mapping, whole: its watch, its queue, its sink and what brings them together."""

from pathlib import Path

from zfs_walk.mirror.mapping import Mapping
from zfs_walk.mirror.statistics import MirrorStatistics


class Mirror:
    """Keeps the other side true. Every method may be called from any thread.

    Args:
        mapping: what is mirrored.
        state: folder of its own, made if it is not there; outside the mirrored folder.

    Raises:
        WrongUseError: the URL, the sink's options or a pattern is wrong; or the state, or the
            other side, lies in the mirrored folder.
        MissingExtraError: the sink's library is not installed.
    """

    def __init__(self, mapping: Mapping, state: Path) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Begin; what is not there yet (the folder, the other side) is waited for.

        Raises:
            StateError: the state can't be used, or is another mapping's.
            StateInUseError: another process uses it.
        """
        raise NotImplementedError

    def close(self, timeout: float = 10.0) -> None:
        """Stop, and wait for so many seconds for transfers to stop; they are gone on with later."""
        raise NotImplementedError

    def pause(self, reason: str) -> None:
        """Send nothing more until `resume` with the same reason; changes are queued."""
        raise NotImplementedError

    def resume(self, reason: str) -> None:
        """A reason to pause is over."""
        raise NotImplementedError

    def rescan(self) -> None:
        """Compare both sides now, or once more if that is going on."""
        raise NotImplementedError

    def confirm(self) -> int:
        """Let go the deletions that are held, and take the folder as it is now; returns how many."""
        raise NotImplementedError

    def retry(self, paths: tuple[bytes, ...] | None) -> int:
        """Try what was set aside once more, all of it if ``None``; returns how many."""
        raise NotImplementedError

    def limit(self, bytes_a_second: int) -> None:
        """Let all transfers together send so many; 0: as many as they can."""
        raise NotImplementedError

    def statistics(self) -> MirrorStatistics:
        """What it knows about itself."""
        raise NotImplementedError
