"""Memory and CPU time of processes, as /proc has them."""

import os
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_USER_AND_SYSTEM: Final = slice(11, 13)
"""utime and stime among the fields of /proc/PID/stat after the name (proc(5): 14 and 15)."""


def resident_bytes(pid: int) -> int | None:
    """Resident memory of a process; None if it is gone, or where there is no /proc."""
    try:
        pages = int((_PROC / str(pid) / "statm").read_bytes().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def cpu_ms(pid: int) -> int | None:
    """CPU milliseconds of a process; None if it is gone, or where there is no /proc."""
    try:
        fields = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return sum(map(int, fields[_USER_AND_SYSTEM])) * 1000 // os.sysconf("SC_CLK_TCK")


def own_cpu_ms() -> int:
    """CPU milliseconds of this process."""
    own = os.times()
    return round(1000 * (own.user + own.system))
