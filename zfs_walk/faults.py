"""Points at which a test may have the process killed: ``ZFS_WALK_FAILPOINT=NAME`` or ``NAME:N``.

What must survive a kill at any moment is tested at the moments that matter. Nothing happens unless
the variable is there; the kill is SIGKILL, the N-th time that the point is passed.
"""

import os
import signal
from typing import Final

VARIABLE: Final = "ZFS_WALK_FAILPOINT"

MIRROR: Final = (
    "mirror.noticed",  # changes are known, and not queued
    "mirror.queued",  # they are queued
    "mirror.taken",  # actions are in hand, and not begun
    "mirror.sending",  # a file is about to be sent
    "mirror.sent",  # it is there, and not acknowledged
    "mirror.moved",  # likewise after a move
    "mirror.deleted",  # likewise after a deletion
    "mirror.acknowledged",  # some of what is done is acknowledged
)
"""Of a mirror, whatever its sink."""

FILE: Final = ("file.begun", "file.remembered", "file.written", "file.shown")
"""Of the sink ``file://``: of a file, one after the other."""

S3: Final = (
    "s3.put", "s3.created", "s3.part-sent", "s3.before-complete", "s3.completed", "s3.copied",
)  # fmt: skip
"""Of the sink ``s3://``: of a small file, of a large one, one after the other, and of a move."""

SFTP: Final = ("sftp.begun", "sftp.synced", "sftp.sent", "sftp.renamed")
"""Of the sink ``sftp://``: of a file, one after the other."""

SEND: Final = ("send.begun", "send.ended")
"""Of a walk that sends: the files of a task are judged and sent; they are, and it is not told."""

_name, _, _count = os.environ.get(VARIABLE, "").partition(":")
_left = int(_count or 1)


def point(name: str) -> None:
    """Pass a point."""
    global _left  # noqa: PLW0603 -- it is the process's own
    if name == _name:
        _left -= 1
        if _left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
