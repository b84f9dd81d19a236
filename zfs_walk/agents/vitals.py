"""What a process knows about itself."""

import os
import resource
from pathlib import Path

_STATM = Path("/proc/self/statm")


def rss() -> int:
    """Resident memory in bytes; where /proc is missing, the peak."""
    try:
        return int(_STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def cpu_ms() -> int:
    """CPU time of this process and its dead children, in milliseconds."""
    times = os.times()
    return round(1000 * (times.user + times.system))
