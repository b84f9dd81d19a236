"""A mirror's statistics, for the tests of this folder."""

from zfs_walk.mirror.handling import HandlerStatistics, Transferring
from zfs_walk.mirror.records import Counts
from zfs_walk.mirror.statistics import MirrorStatistics, Phase, ReconcileStatistics

HANDLER = HandlerStatistics(
    active=(Transferring(b"a", 10, 5, 1.0),), sent=1, bytes=2, moved=3, deleted=4, unchanged=5,
    failed=6, rate=7.6, paused=(), trouble="", since=0.0, look_at=0.0,
)  # fmt: skip
RECONCILE = ReconcileStatistics(done=2, ended=1.5, failed="", checked=9, equal=8, send=1, delete=0)
WELL = MirrorStatistics(
    "photos", b"/data", "s3://b", Phase.MIRRORING, "", Counts(10, 11, 0, 0, 14), indexed=15,
    held_why="", skipped=0, watch=None, handler=HANDLER, reconcile=RECONCILE,
)  # fmt: skip
