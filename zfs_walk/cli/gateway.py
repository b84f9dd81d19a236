"""The gateway's process, which only a broker starts: its brief comes through stdin."""

import os
import signal
import socket
import sys
import threading

from zfs_walk.bus.parent import signal_at_death_of
from zfs_walk.cli.command import set_up_logging
from zfs_walk.gateway.brief import Brief


def run() -> None:
    """Serve HTTP until the broker is gone."""
    brief = Brief.decode(sys.stdin.buffer.readline())
    signal_at_death_of(brief.parent, signal.SIGKILL)
    threading.Thread(target=_end_with_the_pipe, name="parent", daemon=True).start()
    # Whatever takes long to import comes after the parent's end would be noticed.
    from zfs_walk.gateway.watch import Watch  # noqa: PLC0415
    from zfs_walk.gateway.web import serve  # noqa: PLC0415

    set_up_logging(brief.verbose)
    serve(socket.socket(fileno=brief.listener), Watch(brief), brief.token)


def _end_with_the_pipe() -> None:
    """The broker holds the other end; it lets go when it ends, whatever ended it."""
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    run()
