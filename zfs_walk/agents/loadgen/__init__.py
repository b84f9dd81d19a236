"""The load generator agent: consumers and a monitor in processes of their own, and a report.

`core` keeps the run, `pool` the processes, `process` is what they do; `loop` is the shell.
"""
