"""The signals that end an agent or a walk; only the main thread of the first process takes them."""

import signal
from typing import Final

HANDLED: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
"""Blocked before the zygote is forked, and for ever in it and in the workers: a Ctrl-C or a hang-up
goes to the whole process group, and only the agent knows what is to become of the work."""
