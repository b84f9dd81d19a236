"""Sockets and clocks: the only room of zfs_walk that knows ZeroMQ."""
