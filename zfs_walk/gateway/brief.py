"""What the broker tells its gateway, through a pipe: a command line shows in every process list."""

import json
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True)
class Brief:
    """How a gateway reaches its broker, and whom it serves.

    Attributes:
        parent: the broker's process id.
        endpoint: where the broker listens.
        server: the broker's public key; empty: it demands no keys.
        public: the gateway's own key, with its ``secret``.
        host: this host's name.
        version: of zfs_walk.
        listener: descriptor of the listening socket, inherited.
        token: that every request must bring; empty: none.
        verbose: of the broker's own log.
    """

    parent: int
    endpoint: str
    server: str
    public: str
    secret: str = field(repr=False)
    host: str
    version: str
    listener: int
    token: str = field(repr=False)
    verbose: int

    def encode(self) -> bytes:
        """One line."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> "Brief":
        """Read the line."""
        return cls(**json.loads(line))
