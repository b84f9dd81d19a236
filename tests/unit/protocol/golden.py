"""Writes golden.json: the frames of one message of each type, as this release sends them.

Run it by hand, ``python -m tests.unit.protocol.golden``, and only when the protocol was changed on
purpose: what it overwrites is what other releases understand.
"""

import json
from pathlib import Path

from tests.unit.protocol.samples import MESSAGES, build
from zfs_walk.protocol.codec import BUS
from zfs_walk.protocol.messages import wire_name

FILE = Path(__file__).with_name("golden.json")


def frames() -> dict[str, list[str]]:
    """The frames of each message, in hexadecimal."""
    return {
        wire_name(message): [frame.hex() for frame in BUS.encode(build(message))]
        for message in MESSAGES
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(frames(), indent=1) + "\n")
