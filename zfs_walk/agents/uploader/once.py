"""An uploader that ends when it has nothing more to do."""

from collections.abc import Sequence
from typing import Final

from zfs_walk.errors import LeftBehindError, MirrorStuckError, ZfsWalkError
from zfs_walk.mirror.mirror import Mirror
from zfs_walk.mirror.statistics import Phase
from zfs_walk.mirror.wishes import PAUSED

LOOK_EVERY: Final = 0.02
"""Seconds between two looks whether all is done."""


class Once:
    """Decides when that is, and how it went.

    Args:
        mirrors: of the uploader.
        patience: seconds that a folder or a sink may be in trouble until it is given up.

    Attributes:
        failure: what was left undone, once it is over; None: nothing.
    """

    def __init__(self, mirrors: Sequence[Mirror], patience: float) -> None:
        self._mirrors = mirrors
        self._patience = patience
        self._stuck: dict[str, float] = {}
        self.failure: ZfsWalkError | None = None

    def is_over(self, now: float) -> bool:
        """Whether nothing more will be done; ``now`` in monotonic seconds."""
        uneven = [mirror for mirror in self._mirrors if not mirror.even]
        if not uneven:
            self._sum_up()
            return True
        for mirror in uneven:
            known = mirror.statistics()
            trouble = known.why if known.phase is Phase.WAITING else known.reconcile.failed
            if known.handler is not None:
                trouble = trouble or known.handler.trouble
                if PAUSED in known.handler.paused:
                    trouble = trouble or PAUSED
            if not trouble:
                self._stuck.pop(known.name, None)
            elif now - self._stuck.setdefault(known.name, now) >= self._patience:
                self.failure = MirrorStuckError(name=known.name, reason=trouble.rstrip("."))
                return True
        return False

    def _sum_up(self) -> None:
        counts = [mirror.statistics().counts for mirror in self._mirrors]
        aside, held = sum(each.aside for each in counts), sum(each.held for each in counts)
        if aside or held:
            self.failure = LeftBehindError(aside=aside, held=held)
