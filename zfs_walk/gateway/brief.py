"""What the broker tells its gateway, through a pipe: a command line shows in every process list."""

import json
from dataclasses import asdict, dataclass, field

from zfs_walk.bus.curve import Curve


@dataclass(frozen=True, slots=True)
class Brief:
    """How a gateway reaches its broker, and whom it serves.

    Attributes:
        parent: the broker's process id.
        endpoint: where the broker listens.
        publish: where its relay takes what is published.
        host: this host's name.
        version: of zfs_walk.
        listener: descriptor of the listening socket, inherited.
        token: that every request must bring; empty: none.
        verbose: of the broker's own log.
        log_folder: the state folder, for the local log.
        log_size: MiB of a log file; ``log_count``: files that are kept.
        curve: keys, if the broker demands any.
    """

    parent: int
    endpoint: str
    publish: str
    host: str
    version: str
    listener: int
    token: str = field(repr=False)
    verbose: int
    log_folder: str
    log_size: int
    log_count: int
    curve: Curve | None

    def encode(self) -> bytes:
        """One line."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> "Brief":
        """Read the line."""
        told = json.loads(line)
        keys = told.pop("curve")
        return cls(**told, curve=None if keys is None else Curve(**keys))
