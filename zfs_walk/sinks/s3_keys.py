"""Names as S3 keys, and keys as names again.

A key is UTF-8, and travels in XML, which knows no control characters. So a name's bytes stand in
its key as they are, but for these, which become ``%XX`` with two upper-case hexadecimal digits:
bytes that are no UTF-8, control characters, a backslash (some servers take it for a slash), and a
percent sign that two such digits follow. No two names have the same key.
"""

import re
import unicodedata
from typing import Final

from zfs_walk.sinks.errors import NameRefusedError

LONGEST: Final = 1024
"""Bytes of a key, the prefix with it: the limit of the protocol."""

PROBE: Final = ".zfs-walk%2Eprobe"
"""Below the prefix: no name has this key, since a dot is never written like that."""

_ESCAPE: Final = re.compile(rb"%([0-9A-F]{2})")
_CLEAR: Final = re.compile(rb"[ -$&-\[\]-~]*")
"""Most names; one look at them all is much less work than one at each character."""


def key_of(prefix: str, name: bytes) -> str:
    """Return the key of a name.

    Args:
        prefix: empty, or ends in a slash.
        name: below it.

    Raises:
        NameRefusedError: it is too long, or no name at all.
    """
    if not _is_name(name):
        reason = "no part of it may be empty, '.' or '..', and none has a NUL"
        raise NameRefusedError(place=prefix + name.decode(errors="replace"), reason=reason)
    key = prefix + _escaped(name)
    size = len(key) if key.isascii() else len(key.encode())
    if size > LONGEST:
        reason = f"its key would have {size:,} bytes, S3 has at most {LONGEST:,}"
        raise NameRefusedError(place=prefix + name.decode(errors="replace"), reason=reason)
    return key


def name_of(prefix: str, key: str) -> bytes | None:
    """Return the name whose key this is; None: it is no name's."""
    if not key.startswith(prefix):
        return None
    name = _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), key[len(prefix) :].encode())
    return name if _is_name(name) and prefix + _escaped(name) == key else None


def _is_name(name: bytes) -> bool:
    return b"\0" not in name and not {b"", b".", b".."} & {*name.split(b"/")}


def _escaped(name: bytes) -> str:
    if _CLEAR.fullmatch(name):
        return name.decode()
    # Percent signs first: those that come after are our own.
    clear = _ESCAPE.sub(rb"%25\1", name).decode(errors="surrogateescape")
    return "".join(char if _plain(char) else _percent(char) for char in clear)


def _plain(char: str) -> bool:
    # Cc: control characters; Cs: bytes that are no UTF-8. XML has no U+FFFE and U+FFFF.
    return (
        char != "\\"
        and unicodedata.category(char) not in {"Cc", "Cs"}
        and char not in "\ufffe\uffff"
    )


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode(errors="surrogateescape"))
