"""Mirrors that may be killed, each a process of its own.

What they import takes longer than what they do, so it is imported once: they are forked. On stdin
comes a JSON object a line, the arguments of `mirrored`; for each a line of JSON says how it ended:
the exit code, or the signal below 0, or what was raised.
"""

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from time import sleep
from typing import Any

# For the forks: the sinks import them when they are opened.
import boto3  # noqa: F401
import obstore  # noqa: F401
import paramiko  # noqa: F401

from zfs_walk import faults
from zfs_walk.mirror.mapping import Mapping
from zfs_walk.mirror.mirror import Mirror
from zfs_walk.sinks import s3, sftp_send  # noqa: F401

CHECKPOINT = 9 << 20
"""As `zfs_walk.sinks.sftp_send.CHECKPOINT`, for smaller files; more than what is under way."""

PATIENCE = 40.0
"""Seconds for a mirror to come to where it dies."""


def mirrored(here: str, url: str, options: dict[str, Any], state: str, point: str) -> None:
    """Mirror a folder until both sides are equal, or to the death.

    Args:
        here: the folder.
        url: of the sink.
        options: of the sink.
        state: folder.
        point: where it dies, as `zfs_walk.faults` has it; empty: nowhere.
    """
    os.environ[faults.VARIABLE] = point
    importlib.reload(faults)
    vars(sftp_send)["CHECKPOINT"] = CHECKPOINT
    mirror = Mirror(
        Mapping(
            "test", os.fsencode(here), url, options,
            complete_sync=True, guard_files=1_000, settle=0.05, deletion_delay=0.3, transfers=2,
        ),
        Path(state),
    )  # fmt: skip
    mirror.start()
    while not mirror.even:
        sleep(0.01)
    if point:
        # It has not come to it yet: that is so of what comes after the start.
        Path(here, "late").write_text(point)
        sleep(PATIENCE)
    mirror.close()


def forked(arguments: dict[str, Any]) -> int | str:
    """How such a mirror ends."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            mirrored(**arguments)
        except BaseException:  # noqa: BLE001 -- a fork must not go on with its parent's work
            os.write(writing, traceback.format_exc().encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        raised = pipe.read()
    return raised or os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main() -> None:
    for line in sys.stdin:
        sys.stdout.write(f"{json.dumps(forked(json.loads(line)))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
