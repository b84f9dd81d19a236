"""Keys of CURVE, which encrypts and authenticates every TCP connection (docs/security.md)."""

from dataclasses import dataclass, field

import zmq


@dataclass(frozen=True, slots=True)
class Curve:
    """The keys of one process, all in Z85 (40 characters for 32 bytes).

    Attributes:
        public: this process's public key, by which the broker knows it.
        secret: belongs to ``public``, and never leaves this host.
        server: the broker's public key; the broker's own ``public`` in the broker.
    """

    public: str
    secret: str = field(repr=False)
    server: str


def new_pair() -> tuple[str, str]:
    """Make a public key and its secret."""
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()
