"""The scout agent: claims folders, and keeps the broker's lists of their files true.

`sender` brings one folder's list over the bus, `claim` and `core` hold the session, `loop` is the
shell with the watches.
"""
