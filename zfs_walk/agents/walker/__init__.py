"""The walker: walks units of work with a pool of processes.

`core` and `unit` decide, `loop` and `pool` move frames and processes, `worker` reads directories.
"""
