"""Publishes what processes know about themselves."""

import time

from zfs_walk.bus.publisher import Publisher
from zfs_walk.protocol.messages import BrokerStatus, WalkerStatus
from zfs_walk.protocol.statistics import BrokerStatistics, WalkerStatistics
from zfs_walk.protocol.stream import status_topic


def publish_status(publisher: Publisher, statistics: WalkerStatistics | BrokerStatistics) -> None:
    """Publish a process's statistics under its own topic."""
    origin, now = publisher.origin, time.time_ns()
    topic = status_topic(origin.role, origin.host)
    if isinstance(statistics, WalkerStatistics):
        publisher.publish(topic, lambda seq: WalkerStatus(origin, seq, now, statistics))
    else:
        publisher.publish(topic, lambda seq: BrokerStatus(origin, seq, now, statistics))
