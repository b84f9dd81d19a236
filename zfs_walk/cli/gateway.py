"""The gateway's process, which only a broker starts: its brief comes through stdin."""

import logging
import os
import secrets
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Final

from zfs_walk.bus.parent import signal_at_death_of
from zfs_walk.cli.logs import begin_logging, open_log
from zfs_walk.gateway.brief import Brief

LOG = logging.getLogger("zfs_walk.gateway")

GATEWAY: Final = "gateway"
"""Its role, and its name: a broker has one."""


def run() -> None:
    """Serve HTTP until the broker is gone."""
    brief = Brief.decode(sys.stdin.buffer.readline())
    signal_at_death_of(brief.parent, signal.SIGKILL)
    threading.Thread(target=_end_with_the_pipe, name="parent", daemon=True).start()
    # Whatever takes long to import comes after the parent's end would be noticed.
    from zfs_walk.bus.client import Client  # noqa: PLC0415
    from zfs_walk.bus.files_follower import FilesFollower  # noqa: PLC0415
    from zfs_walk.bus.sockets import Bus  # noqa: PLC0415
    from zfs_walk.gateway.lists import Lists  # noqa: PLC0415
    from zfs_walk.gateway.watch import PATIENCE, Watch  # noqa: PLC0415
    from zfs_walk.gateway.web import serve  # noqa: PLC0415
    from zfs_walk.protocol.statistics import Origin  # noqa: PLC0415

    begin_logging(brief.verbose)
    bus = Bus(brief.curve)
    origin = Origin(
        secrets.token_hex(8), GATEWAY, brief.host, GATEWAY, os.getpid(), 0, brief.version
    )
    folder = Path(brief.log_folder)
    open_log(bus, brief.publish, origin, folder, brief.log_size, brief.log_count)
    client = Client(bus, (brief.endpoint,), brief.host, brief.version, PATIENCE)
    watch = Watch(client)

    def changed() -> None:
        if follower.error is not None:
            # Old lists must not be told for new ones; the broker starts another gateway.
            LOG.error("%s", follower.error)
            os._exit(follower.error.exit_code)
        lists.changed()

    follower = FilesFollower(bus, (brief.endpoint,), brief.host, brief.version, LOG.debug, changed)
    lists = Lists(origin.publisher, follower, watch)
    follower.start()
    LOG.info("serves HTTP for the broker at %s", brief.endpoint)
    serve(socket.socket(fileno=brief.listener), watch, lists, brief.token)


def _end_with_the_pipe() -> None:
    """The broker holds the other end; it lets go when it ends, whatever ended it."""
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    run()
