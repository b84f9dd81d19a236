"""The language of the bus: messages as frozen dataclasses in one table, and their codec.

Imports nothing else of zfs_walk. docs/protocol.md is the specification.
"""
