"""Names that may go to a sink."""

from typing import Final

from zfs_walk.sinks.errors import NameRefusedError

_IMPOSSIBLE: Final = frozenset((b"", b".", b".."))


def parts(name: bytes, place: str) -> list[bytes]:
    """The parts of a name, none of which leads out of the sink's root.

    Args:
        name: below the root.
        place: of the sink, for the message.

    Raises:
        NameRefusedError: it has an empty part, ``.``, ``..`` or NUL.
    """
    found = name.split(b"/")
    if b"\0" in name or not _IMPOSSIBLE.isdisjoint(found):
        reason = f"{name!r} has an empty part, `.`, `..` or NUL"
        raise NameRefusedError(place=place, reason=reason)
    return found
