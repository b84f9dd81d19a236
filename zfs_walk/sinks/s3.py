"""Files as objects of an S3 bucket."""

import datetime as dt
import email.utils
import threading
from collections.abc import Generator, Iterator, Sequence
from itertools import islice
from typing import Any, ClassVar, Final, Self

from zfs_walk import faults
from zfs_walk.sinks import s3_metadata
from zfs_walk.sinks.errors import CorruptedError, FileRefusedError, MissingError
from zfs_walk.sinks.interface import Memory, Parcel, PartsReport, Remote, Report, permissions
from zfs_walk.sinks.kept_secret import need_keyring
from zfs_walk.sinks.s3_checksums import has_etag
from zfs_walk.sinks.s3_client import Client
from zfs_walk.sinks.s3_copy import copy
from zfs_walk.sinks.s3_keys import key_of, name_of
from zfs_walk.sinks.s3_multipart import PART_SIZE, Multipart, Told, abort, unfinished
from zfs_walk.sinks.s3_options import LARGEST_FILE, S3Options, parse
from zfs_walk.sinks.s3_put import TOGETHER, Puts
from zfs_walk.sinks.source import Source

_PAGE: Final = 1_000
"""Keys that a server tells of in one answer: the protocol's."""

_SECOND: Final = dt.timedelta(seconds=1)
"""What a server's answer leaves out of its time at most."""


class S3Sink:
    """A bucket, or the keys of one below a prefix: see `zfs_walk.sinks.interface.Sink`.

    A new object shows when it is whole, which S3 promises. Its ETag is the tag.
    """

    Options: ClassVar[type[Any]] = S3Options
    granularity_ns = 1
    together = TOGETHER

    def __init__(self, url: str, options: S3Options) -> None:
        self._bucket = parse(url)
        if options.credentials_keyring is not None:
            need_keyring("credentials_keyring")
        self._client = Client(self._bucket, options)
        self._puts = Puts(self._client)
        self._open = True

    def fork(self) -> Self:
        """One of the same connections: boto3's clients are for any number of threads."""
        other = object.__new__(type(self))
        other._bucket = self._bucket
        other._client = self._client
        other._puts = Puts(self._client)
        other._open = True
        self._client.join()
        return other

    def close(self) -> None:
        """Let go of the connections; the last fork closes them."""
        if self._open:
            self._open = False
            self._puts.close()
            self._client.leave()

    def dial(self) -> None:
        """Begin to connect, without waiting."""
        self._client.dial()

    def place(self, name: bytes) -> str:
        """The object's URL."""
        return self._client.place_of(self._key(name))

    def check(self) -> None:
        """Write a tiny object, and take it away."""
        self._client.probe()

    # ------------------------------------------------------------------ files

    def send(self, source: Source, name: bytes, memory: Memory, report: Report) -> Remote:
        """In one piece, or in parts if it is larger than ``multipart_above``."""
        if source.size <= self._client.options.multipart_above:
            return self._puts.put(Parcel(source, name, report))
        key = self._key(name)
        place = self._client.place_of(key)
        if source.size > LARGEST_FILE:
            raise FileRefusedError(place=place, reason="S3 takes no file of more than 5 TiB")
        fields = {
            "Metadata": s3_metadata.of(source),
            "ContentType": s3_metadata.content_type(source, name),
            **self._client.storage(),
        }
        told = Told(
            _one_at_a_time(report), report.parts if isinstance(report, PartsReport) else _untold
        )
        etag = Multipart(self._client, key, place, memory).send(source, fields, told)
        mode = permissions(source.stat.st_mode)
        return Remote(name, source.size, source.stat.st_mtime_ns, etag, mode)

    def send_together(self, parcels: Sequence[Parcel]) -> list[Remote | Exception]:
        """Each in one piece: see `zfs_walk.sinks.interface.Together`."""
        return self._puts.put_together(parcels)

    def abandon(self, name: bytes, memory: Memory) -> None:
        """Abort the upload."""
        Multipart(self._client, self._key(name), self.place(name), memory).abandon()

    def delete(self, name: bytes) -> None:
        """Delete the object; there are no parents."""
        # Servers that keep objects as files would take a folder of this name, or a file that is
        # its parent.
        if self._head(name) is not None:
            self._call("delete_object", name)

    def move(self, old: bytes, new: bytes) -> Remote:
        """Let the server copy it, then delete the old one: S3 has no other way."""
        head = self._head(old)
        if head is None:
            if (moved := self.look(new)) is None:
                raise MissingError(place=self.place(old), reason="it is gone")
            return moved
        copy(self._client, head, (self._key(old), self._key(new)), self.place(new))
        moved = self.look(new)
        if moved is None or moved.size != head["ContentLength"]:
            raise CorruptedError(place=self.place(new), reason="it is no copy of the old object")
        faults.point("s3.copied")
        if old != new:
            self.delete(old)
        return moved

    # ------------------------------------------------------------------ what is there

    def look(self, name: bytes) -> Remote | None:
        """By a HEAD."""
        head = self._head(name)
        if head is None:
            return None
        metadata = s3_metadata.read(head)
        etag = str(head["ETag"]).strip('"')
        return Remote(
            name,
            head["ContentLength"],
            s3_metadata.mtime_ns(metadata),
            etag,
            s3_metadata.mode(metadata),
        )

    def matches(self, source: Source, remote: Remote) -> bool:
        """By the ETag, if it is made of MD5s, else by the checksum of an object in one piece."""
        if remote.size != source.size:
            return False
        head = self._head(remote.name, ChecksumMode="ENABLED")
        if head is None or head["ContentLength"] != source.size:
            return False
        part = s3_metadata.read(head).get(PART_SIZE, "")
        etag = str(head["ETag"]).strip('"')
        return has_etag(source, etag, int(part) if part.isdecimal() else 0)

    def list(self, prefix: bytes) -> Iterator[Remote]:
        """The keys at or below a name; the times of files are not among what a listing tells."""
        below = self._bucket.prefix
        if prefix:
            if (exact := self.look(prefix)) is not None:
                yield exact._replace(mtime_ns=None, mode=None)
            below = f"{self._key(prefix)}/"
        yield from self._listed(Prefix=below)

    def files_in(self, folder: bytes, most: int) -> Generator[Remote]:
        """The keys of a folder, up to the next slash: see `zfs_walk.sinks.interface.Folders`."""
        below = f"{self._key(folder)}/" if folder else self._bucket.prefix
        which = {"Prefix": below, "Delimiter": "/", "MaxKeys": min(most, _PAGE)}
        yield from islice(self._listed(**which), most)

    def _listed(self, **which: Any) -> Iterator[Remote]:
        token: dict[str, Any] = {}
        while True:
            page = self._client.call("list_objects_v2", self._client.place, **which, **token)
            for found in page.get("Contents", ()):
                name = name_of(self._bucket.prefix, found["Key"])
                if name is not None:
                    yield Remote(name, found["Size"], None, found["ETag"].strip('"'))
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def sweep(self, known: frozenset[str]) -> int:
        """Abort uploads below the prefix that no transfer knows, older than ``stale_days``."""
        oldest = dt.timedelta(days=self._client.options.stale_days)
        aborted = 0
        for upload in unfinished(self._client, self._bucket.prefix, self._client.place):
            ours = name_of(self._bucket.prefix, upload["Key"]) is not None
            # Both times are the server's, whatever this host's clock says.
            age = _time(upload["Date"]) + _SECOND - upload["Initiated"]
            if ours and upload["UploadId"] not in known and age >= oldest:
                abort(self._client, upload["Key"], upload["UploadId"], self._client.place)
                aborted += 1
        return aborted

    # ------------------------------------------------------------------ small steps

    def _key(self, name: bytes) -> str:
        return key_of(self._bucket.prefix, name)

    def _call(self, operation: str, name: bytes, **arguments: Any) -> dict[str, Any]:
        return self._client.call(operation, self.place(name), Key=self._key(name), **arguments)

    def _head(self, name: bytes, **arguments: Any) -> dict[str, Any] | None:
        try:
            return self._call("head_object", name, **arguments)
        except MissingError:
            return None


def _one_at_a_time(report: Report) -> Report:
    lock = threading.Lock()

    def locked(count: int) -> None:
        with lock:
            report(count)

    return locked


def _untold(done: int, of: int) -> None:
    """Nobody wants to know about parts."""


def _time(date: str) -> dt.datetime:
    return email.utils.parsedate_to_datetime(date)
