"""What a mapping to S3 may be told."""

import re
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import BaseModel, ByteSize, ConfigDict, Field, ValidationInfo, field_validator

from zfs_walk.errors import WrongUseError
from zfs_walk.sinks.kept_secret import Reference

MIB: Final = 1 << 20
SMALLEST_PART: Final = 5 * MIB
"""Bytes: the protocol's, for all parts but the last."""
LARGEST_PART: Final = 5 << 30
"""Bytes: the protocol's; also of a file that is sent in one piece, or copied in one."""
MOST_PARTS: Final = 10_000
"""The protocol's."""
LARGEST_FILE: Final = 5 << 40
"""Bytes: the protocol's."""

_BUCKET: Final = re.compile(r"[A-Za-z0-9._-]{3,255}")
_PartSize = Annotated[ByteSize, Field(ge=SMALLEST_PART, le=LARGEST_PART)]


class S3Options(BaseModel):
    """The ``options:`` of an ``s3://`` mapping; none of them is a secret."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    endpoint_url: str | None = Field(default=None, pattern=r"^https?://[^/]")
    """Of a server that is not Amazon's; without it: as the AWS configuration says."""

    region: str | None = None
    """Of the server; without it: as the AWS configuration says, else us-east-1."""

    profile: str | None = None
    """Of the AWS configuration, with the credentials to use."""

    credentials_keyring: Reference | None = None
    """SERVICE/USER of the keyring whose secret is ACCESS-KEY-ID:SECRET-KEY; not with a profile."""

    addressing: Literal["auto", "path", "virtual"] = "auto"
    """Where the bucket's name stands in an address; auto: in the path if there is an
    ``endpoint_url``, else as Amazon wants it."""

    ca_file: Path | None = None
    """Certificates that the server's must be signed by, in place of the system's."""

    checksum: Literal["auto", "sha256", "crc32", "crc32c", "md5"] = "auto"
    """Which checksum the server is to verify; auto: SHA-256, CRC-32 or MD5, the first one that it
    does verify, and CRC-32C for parts."""

    multipart_above: _PartSize = ByteSize(16 * MIB)
    """Bytes; larger files are sent in parts, and gone on with where that stopped."""

    part_size: _PartSize = ByteSize(8 * MIB)
    """Bytes of a part; of files that had more than 10,000 of them it is larger."""

    part_transfers: int = Field(default=6, ge=1, le=64)
    """Parts that are sent at a time, of all files together. With ten of them a server on the same
    machine needs 6 % more CPU: they do not stay in its cache. A long line may want more."""

    storage_class: str | None = None
    """Of the objects; without it: the bucket's own."""

    encryption: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = None
    """At the server; without it: as the bucket says."""

    kms_key: str | None = None
    """Id of the key for ``aws:kms``; without it: the account's own."""

    timeout: float = Field(default=60.0, gt=0)
    """Seconds without a byte until a connection counts as dead."""

    stale_days: float = Field(default=7.0, ge=0)
    """Days after which an unfinished upload below the prefix that no transfer knows is aborted."""

    @field_validator("credentials_keyring")
    @classmethod
    def _instead_of_a_profile(cls, given: str | None, info: ValidationInfo) -> str | None:
        if given is not None and info.data.get("profile") is not None:
            message = "credentials come from it or from the `profile`, not from both"
            raise ValueError(message)
        return given


class Bucket(NamedTuple):
    """Where an ``s3://`` URL points: the bucket, and what its keys begin with, up to a slash."""

    name: str
    prefix: str


def parse(url: str) -> Bucket:
    """Split ``s3://bucket/prefix``.

    Raises:
        WrongUseError: it is no such URL.
    """
    scheme, bucket, path, *rest = urlsplit(url)
    parts = path.strip("/").split("/") if path.strip("/") else []
    if scheme != "s3" or not _BUCKET.fullmatch(bucket) or any(rest):
        # Not the URL itself: it may hold a secret that does not belong there.
        raise WrongUseError(reason="a place in S3 is written s3://BUCKET or s3://BUCKET/PREFIX")
    if any(part in {"", ".", ".."} for part in parts):
        raise WrongUseError(reason=f"no part of the prefix in {url} may be empty, '.' or '..'")
    return Bucket(bucket, "".join(f"{part}/" for part in parts))


def part_size(size: int, wanted: int) -> int:
    """Return the bytes of a part of a file so large that 10,000 parts are enough, in whole MiB."""
    needed = -(-size // MOST_PARTS)
    return max(wanted, -(-needed // MIB) * MIB)
