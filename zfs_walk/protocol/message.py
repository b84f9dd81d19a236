"""What every message has, and the words that several of them share."""

from typing import Annotated, Final

from zfs_walk.protocol.schema import Length, OneOf

PROTO_MIN: Final = 1
PROTO_MAX: Final = 1
"""Minor versions that this release speaks; HELLO offers them, WELCOME names the one in use."""

WALKER: Final = "walker"
SCOUT: Final = "scout"
UPLOADER: Final = "uploader"
LOADGEN: Final = "loadgen"
CLIENT: Final = "client"
AGENT_ROLES: Final = (WALKER, SCOUT, UPLOADER, LOADGEN)
ROLES: Final = (*AGENT_ROLES, CLIENT)

Role = Annotated[str, OneOf(ROLES)]
Request = Annotated[str, Length(64)]
"""A random id that the client makes; the journal keeps it, so that a repeat gets one answer."""


class Message:
    """Base of all messages; the class's name in capitals is the type on the wire."""

    __slots__ = ()
