"""Feeds the gateway's copy of the lists, from a thread and a client of its own."""

import logging
import os
import threading

from zfs_walk.bus.client import Client
from zfs_walk.bus.files_follower import FilesFollower
from zfs_walk.bus.sockets import Bus
from zfs_walk.errors import InternalError, NoBrokerError
from zfs_walk.gateway.lists import Lists

LOG = logging.getLogger("zfs_walk.gateway")


def start_feeding(bus: Bus, client: Client, lists: Lists) -> None:
    """Begin to follow the bus, for ever.

    Args:
        bus: the process's context.
        client: of the broker, from now on the thread's own.
        lists: that are fed.
    """
    follower = FilesFollower(bus, client, lists.handle, LOG.info, _go_on)
    threading.Thread(target=_feed_or_end, args=(follower,), name="feed", daemon=True).start()


def _feed_or_end(follower: FilesFollower) -> None:
    """Without this thread the gateway would tell old lists for new ones: it ends instead."""
    try:
        while True:
            try:
                for _ in follower.follow():
                    pass
            except NoBrokerError:
                LOG.info("the broker is not there yet")
    except BaseException:
        LOG.exception("the gateway can't follow the lists")
        os._exit(InternalError.exit_code)


def _go_on() -> None:
    """Nobody is waited for between two events."""
