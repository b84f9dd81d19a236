"""Where an agent's own door is: a socket in its state folder, for its user's commands only."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SUFFIX: Final = ".door"

LONGEST: Final = 100
"""Bytes of a socket's path that every system takes."""


@contextmanager
def endpoint(folder: Path, name: str) -> Iterator[str]:
    """An agent's door, to be bound or connected to within the context.

    A path may be longer than the system lets a socket's be: then it is reached through a
    descriptor of its folder, which Linux has a short name for.

    Args:
        folder: the agent's state folder.
        name: of the agent.

    Raises:
        OSError: there is no such folder.
    """
    path = folder.resolve() / f"{name}{SUFFIX}"
    if len(os.fsencode(path)) <= LONGEST:
        yield f"ipc://{path}"
        return
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"ipc:///proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)
