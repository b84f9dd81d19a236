"""Mirroring: a watched folder, a durable queue of what is to be sent, and the sink it goes to."""
