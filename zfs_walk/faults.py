"""Points at which a test may have the process killed: ``ZFS_WALK_FAILPOINT=NAME`` or ``NAME:N``.

What must survive a kill at any moment is tested at the moments that matter. Nothing happens unless
the variable is there; the kill is SIGKILL, the N-th time that the point is passed.
"""

import os
import signal
from typing import Final

VARIABLE: Final = "ZFS_WALK_FAILPOINT"

_name, _, _count = os.environ.get(VARIABLE, "").partition(":")
_left = int(_count or 1)


def point(name: str) -> None:
    """Pass a point."""
    global _left  # noqa: PLW0603 -- it is the process's own
    if name == _name:
        _left -= 1
        if _left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
