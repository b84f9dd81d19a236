"""The load generator's engine: content, latencies, pace, work, figures, reports; no network.

`consumer` is one process's load; `zfs_walk.agents.loadgen` runs several of them and a monitor.
"""
