"""What runs on a host: one folder a role, and what every role's agent is made of.

`link` is an agent's session as a state machine, `connection` its socket. A role's `core` decides,
its `loop` moves frames, processes and files.
"""
