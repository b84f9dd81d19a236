"""What a handler counts. Its owner sees to it that one thread at a time is here."""

from dataclasses import dataclass, field, replace

from zfs_walk.mirror.handling import Transferring, What
from zfs_walk.mirror.meter import Meter
from zfs_walk.mirror.result import Result
from zfs_walk.mirror.retry import Again, Aside


@dataclass(slots=True)
class Tally:
    """Everything since the start.

    Attributes:
        meter: of the bytes that were given to the sink.
        active: files that are being sent, the one that began first.
        ended: tries that have succeeded, by what they did.
        unchanged: actions that asked for nothing.
        failed: tries.
    """

    meter: Meter
    active: dict[bytes, Transferring] = field(default_factory=dict)
    ended: dict[What, int] = field(default_factory=lambda: dict.fromkeys(What, 0))
    unchanged: int = 0
    failed: int = 0

    def begin(self, path: bytes, size: int, now: float) -> None:
        """A file is being sent, since so many seconds after the epoch."""
        self.active[path] = Transferring(path, size, 0, now)

    def passing(self, path: bytes, size: int, now: float) -> None:
        """So many of its bytes are sent now, by the meter's clock."""
        self.meter.add(size, now)
        if before := self.active.get(path):
            self.active[path] = replace(before, sent=before.sent + size)

    def parts(self, path: bytes, done: int, of: int) -> None:
        """So many of the parts that it is sent in are there."""
        if before := self.active.get(path):
            self.active[path] = replace(before, parts=of, parts_done=done)

    def end(self, result: Result) -> None:
        """A try has ended."""
        self.active.pop(result.action.path, None)
        if isinstance(result.outcome, Again | Aside):
            self.failed += result.what is not None
        elif result.what is not None:
            self.ended[result.what] += 1
        else:
            self.unchanged += 1
