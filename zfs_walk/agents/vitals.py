"""What an agent knows about its own use of the host."""

import os
import resource
from collections.abc import Iterable
from pathlib import Path

_PROC = Path("/proc")
_USER_AND_SYSTEM = slice(11, 13)
"""utime and stime among the fields of /proc/PID/stat after the name (proc(5): 14 and 15)."""


class Vitals:
    """Memory and CPU time of an agent and its workers, dead ones included."""

    def __init__(self) -> None:
        """Nothing was looked at yet."""
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._ticks = os.sysconf("SC_CLK_TCK")
        self._seen: dict[int, int] = {}
        self._of_the_dead = 0

    def look(self, workers: Iterable[int]) -> tuple[int, int]:
        """Resident bytes and CPU milliseconds of this process and its workers.

        A page that several of them share counts in each. Where /proc is missing, it is this
        process alone, and the memory is its peak.

        Args:
            workers: their process ids.
        """
        rss = self._rss(os.getpid())
        if rss is None:
            rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        seen: dict[int, int] = {}
        for pid in workers:
            cpu = self._cpu_ms(pid)
            if cpu is not None:
                seen[pid] = cpu
                rss += self._rss(pid) or 0
        self._of_the_dead += sum(cpu for pid, cpu in self._seen.items() if pid not in seen)
        self._seen = seen
        own = os.times()
        return rss, round(1000 * (own.user + own.system)) + self._of_the_dead + sum(seen.values())

    def _rss(self, pid: int) -> int | None:
        try:
            return int((_PROC / str(pid) / "statm").read_bytes().split()[1]) * self._page
        except OSError:
            return None

    def _cpu_ms(self, pid: int) -> int | None:
        try:
            fields = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            return None
        return sum(map(int, fields[_USER_AND_SYSTEM])) * 1000 // self._ticks
