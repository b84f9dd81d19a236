"""Publishes what processes know about themselves."""

import time

from zfs_walk.bus.publisher import Publisher
from zfs_walk.protocol.messages import (
    BrokerStatus,
    LoadgenStatus,
    ScoutStatus,
    UploaderStatus,
    WalkerStatus,
)
from zfs_walk.protocol.statistics import (
    AgentStatistics,
    BrokerStatistics,
    LoadgenStatistics,
    ScoutStatistics,
    UploaderStatistics,
    WalkerStatistics,
)
from zfs_walk.protocol.stream import status_topic


def publish_status(publisher: Publisher, statistics: AgentStatistics | BrokerStatistics) -> None:
    """Publish a process's statistics under its own topic."""
    origin, now = publisher.origin, time.time_ns()
    topic = status_topic(origin.role, origin.host)
    if isinstance(statistics, WalkerStatistics):
        publisher.publish(topic, lambda seq: WalkerStatus(origin, seq, now, statistics))
    elif isinstance(statistics, ScoutStatistics):
        publisher.publish(topic, lambda seq: ScoutStatus(origin, seq, now, statistics))
    elif isinstance(statistics, UploaderStatistics):
        publisher.publish(topic, lambda seq: UploaderStatus(origin, seq, now, statistics))
    elif isinstance(statistics, LoadgenStatistics):
        publisher.publish(topic, lambda seq: LoadgenStatus(origin, seq, now, statistics))
    else:
        publisher.publish(topic, lambda seq: BrokerStatus(origin, seq, now, statistics))
