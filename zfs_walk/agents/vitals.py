"""What an agent knows about its own use of the host."""

import os
import resource
from collections.abc import Iterable

from zfs_walk.bus.vitals import cpu_ms, own_cpu_ms, resident_bytes


class Vitals:
    """Memory and CPU time of an agent and its workers, dead ones included.

    Attributes:
        own: resident bytes of the agent's own process at the last look.
        workers: resident bytes of each worker at the last look, by process id.
    """

    def __init__(self) -> None:
        """Nothing was looked at yet."""
        self.own = 0
        self.workers: dict[int, int] = {}
        self._seen: dict[int, int] = {}
        self._of_the_dead = 0

    def look(self, workers: Iterable[int]) -> tuple[int, int]:
        """Resident bytes and CPU milliseconds of this process and its workers.

        A page that several of them share counts in each. Where /proc is missing, it is this
        process alone, and the memory is its peak.

        Args:
            workers: their process ids.
        """
        own = resident_bytes(os.getpid())
        self.own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 if own is None else own
        self.workers = {}
        seen: dict[int, int] = {}
        for pid in workers:
            cpu = cpu_ms(pid)
            if cpu is not None:
                seen[pid] = cpu
                self.workers[pid] = resident_bytes(pid) or 0
        self._of_the_dead += sum(cpu for pid, cpu in self._seen.items() if pid not in seen)
        self._seen = seen
        rss = self.own + sum(self.workers.values())
        return rss, own_cpu_ms() + self._of_the_dead + sum(seen.values())
