"""The kinds of work: what is done to which file."""

from collections.abc import Callable

from zfs_walk.load.hands import Hands
from zfs_walk.load.job import Job
from zfs_walk.load.job_metadata import Metadata
from zfs_walk.load.job_read import ReadAnywhere, ReadFiles
from zfs_walk.load.job_rewrite import Rewrite
from zfs_walk.load.job_write import WriteFiles
from zfs_walk.load.spec import LoadSpec, Order, Work


def job_for(spec: LoadSpec, seed: str, folder: str, hands: Hands, guard: Callable[[], str]) -> Job:
    """The work that is wanted."""
    kinds: dict[tuple[Work, Order], type[Job]] = {
        (Work.WRITE, Order.SEQUENTIAL): WriteFiles,
        (Work.READ, Order.SEQUENTIAL): ReadFiles,
        (Work.READ, Order.RANDOM): ReadAnywhere,
        (Work.METADATA, Order.SEQUENTIAL): Metadata,
        (Work.METADATA, Order.RANDOM): Metadata,
    }
    return kinds.get((spec.work, spec.order), Rewrite)(spec, seed, folder, hands, guard)
