"""What runs on a host: the agent's state machine, its pool of worker processes, and the roles.

`core` and `unit` decide, `loop` and `pool` move frames and processes, `worker` reads directories.
"""
