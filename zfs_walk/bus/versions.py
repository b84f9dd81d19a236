"""Which ZeroMQ there is."""

from dataclasses import dataclass

import zmq


@dataclass(frozen=True, slots=True)
class Versions:
    """Of the libraries below the bus; ``curve``: keys can be used."""

    pyzmq: str
    libzmq: str
    curve: bool


def versions() -> Versions:
    """Ask the libraries."""
    return Versions(zmq.pyzmq_version(), zmq.zmq_version(), bool(zmq.has("curve")))
