"""Checksums that a server verifies, and ETags that are one."""

import hashlib
import re
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from zfs_walk.errors import MissingExtraError
from zfs_walk.sinks.s3_body import Readable
from zfs_walk.sinks.source import Source

BLOCK: Final = 1 << 20
"""Bytes read at a time."""

_MD5: Final = re.compile(r"[0-9a-f]{32}")
_COMPOSITE: Final = re.compile(r"([0-9a-f]{32})-(\d+)")


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes | memoryview) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


class _Crc32c(_Crc32):
    def update(self, data: bytes | memoryview) -> None:
        self._value = _extend(self._value, bytes(data))


def _extend(value: int, data: bytes) -> int:
    try:
        from google_crc32c import extend  # noqa: PLC0415 -- an extra
    except ImportError as error:
        raise MissingExtraError(feature="CRC-32C", package="google-crc32c", extra="s3") from error
    return int(extend(value, data))


def has_fast_crc32c() -> bool:
    """Whether there is a CRC-32C that takes less time than a SHA-256."""
    try:
        from google_crc32c import implementation  # noqa: PLC0415 -- an extra
    except ImportError:
        return False
    return bool(implementation == "c")


_STATES: Final[dict[str, Callable[[], Any]]] = {"crc32": _Crc32, "crc32c": _Crc32c}


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One kind of checksum.

    Attributes:
        name: as the option has it.
        field: of a request that carries it, in base64.
        upload: what a multipart upload is told when it is made.
        per_part: the completion repeats each part's.
    """

    name: str
    field: str
    upload: dict[str, str]
    per_part: bool

    def of(self, blocks: Iterable[bytes | memoryview]) -> str:
        """The checksum, in base64."""
        make = _STATES.get(self.name)
        state = make() if make else hashlib.new(self.name, usedforsecurity=False)
        for block in blocks:
            state.update(block)
        return b64encode(state.digest()).decode()


SHA256: Final = Algorithm(
    "sha256", "ChecksumSHA256", {"ChecksumAlgorithm": "SHA256"}, per_part=True
)
CRC32: Final = Algorithm("crc32", "ChecksumCRC32", {"ChecksumAlgorithm": "CRC32"}, per_part=True)
CRC32C: Final = Algorithm(
    "crc32c", "ChecksumCRC32C", {"ChecksumAlgorithm": "CRC32C"}, per_part=True
)
"""Takes a seventh of SHA-256's time (13 and 1.8 GB/s on the machine of bench/RESULTS.md)."""
MD5: Final = Algorithm("md5", "ContentMD5", {}, per_part=False)
ALGORITHMS: Final = {each.name: each for each in (SHA256, CRC32, CRC32C, MD5)}
"""By their names."""
AUTO: Final = (SHA256, CRC32, MD5)
"""In the order in which they are tried: SHA-256 is the only one that also proves who sent it, so
that over plain HTTP nothing needs to be hashed twice; the last one every server verifies."""


def blocks(source: Readable, offset: int, size: int) -> Iterator[bytes | memoryview]:
    """A piece of a file, some at a time."""
    end = offset + size
    while offset < end:
        block = source.read(min(BLOCK, end - offset), offset)
        yield block
        offset += len(block)


def md5_of(source: Source, offset: int, size: int) -> str:
    """The MD5 of a piece of a file, in hexadecimal."""
    state = hashlib.md5(usedforsecurity=False)
    for block in blocks(source, offset, size):
        state.update(block)
    return state.hexdigest()


def has_etag(source: Source, etag: str, part: int) -> bool:
    """Whether a file's content has this ETag.

    Args:
        source: the file.
        etag: the server's; one that is no MD5 is nobody's.
        part: bytes of the parts in which it came; 0: unknown.
    """
    if _MD5.fullmatch(etag):
        return md5_of(source, 0, source.size) == etag
    found = _COMPOSITE.fullmatch(etag)
    if found is None or part <= 0 or -(-source.size // part) != int(found[2]):
        return False
    begins = range(0, source.size, part)
    digests = [md5_of(source, begin, min(part, source.size - begin)) for begin in begins]
    joined = bytes.fromhex("".join(digests))
    return hashlib.md5(joined, usedforsecurity=False).hexdigest() == found[1]
