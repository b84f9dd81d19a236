"""Large files in parts: an upload goes on where it stopped, also after the death of the process.

What is kept in the `Memory` of a transfer:

- ``token``: before the upload is made, a word of ours that its metadata will have. If this is all
  there is, the process died while it made one: what is unfinished at this very key is ours.
- ``upload``: the server's id of it; empty after it was given up.
- ``part_size``: bytes.
- ``checksum``: which one its parts have.
- ``part.N``: the token, ETag and checksum of a part that the server has.

A part is sent again unless the server's own list has it, with its size, and with the ETag that was
kept for it or that is the MD5 of what it should be.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Final, NamedTuple

from zfs_walk import faults
from zfs_walk.sinks.errors import (
    ChangedError,
    CorruptedError,
    MissingError,
    SinkError,
    TransientError,
)
from zfs_walk.sinks.interface import Memory, Report
from zfs_walk.sinks.s3_body import Body, Held, Readable
from zfs_walk.sinks.s3_checksums import ALGORITHMS, Algorithm, blocks, md5_of
from zfs_walk.sinks.s3_client import Client
from zfs_walk.sinks.s3_errors import code_of
from zfs_walk.sinks.s3_options import part_size
from zfs_walk.sinks.source import Source

OURS: Final = "zfs-walk-upload"
"""The metadata that has the token of the upload."""
PART_SIZE: Final = "zfs-walk-part-size"
"""The metadata that has the bytes of a part."""

LARGEST_HELD: Final = 16 << 20
"""Bytes of a part that is read once; a larger one is read for its checksum, and once more."""

_LOST: Final = {"NoSuchUpload", "NoSuchKey", "404"}
_UNUSABLE: Final = {*_LOST, "InvalidPart", "InvalidPartOrder", "NotImplemented", "EntityTooSmall"}
"""What servers say of an upload that can't be gone on with."""


class Told(NamedTuple):
    """Who is told how an upload goes on.

    Attributes:
        report: of bytes that are about to be sent; called by one thread at a time.
        parts: how many parts are there, and of how many.
    """

    report: Report
    parts: Callable[[int, int], None]


class _Part(NamedTuple):
    number: int
    etag: str
    checksum: str


class Multipart:
    """The upload of one file to one key.

    Args:
        client: of the bucket.
        key: of the object.
        place: where that is, as people write it.
        memory: of the transfer.
    """

    def __init__(self, client: Client, key: str, place: str, memory: Memory) -> None:
        self._client = client
        self._key = key
        self._place = place
        self._memory = memory
        self._known = memory.load()
        self._rank = client.turns.upload()

    # ------------------------------------------------------------------ from outside

    def send(self, source: Source, fields: Mapping[str, Any], told: Told) -> str:
        """Send what is missing, and make it the object; returns its ETag.

        Args:
            source: the file.
            fields: of the request that makes the upload.
            told: how it goes on.
        """
        try:
            return self._send(source, fields, told)
        except ChangedError:
            self.abandon()
            raise
        except SinkError as error:
            if code_of(error.__cause__ or error) not in _UNUSABLE:
                raise
            self.abandon()
            reason = f"the upload could not be gone on with ({error.fields['reason']})"
            raise TransientError(place=self._place, reason=reason) from error

    def abandon(self) -> None:
        """Abort what was begun, if anything was."""
        if upload := self._known.get("upload"):
            self._abort(upload)
        elif self._known.get("token"):
            for begun in unfinished(self._client, self._key, self._place):
                if begun["Key"] == self._key:
                    self._abort(begun["UploadId"])
        self._store("upload", "")
        self._store("token", "")

    # ------------------------------------------------------------------ the way of an upload

    def _send(self, source: Source, fields: Mapping[str, Any], told: Told) -> str:
        there: dict[int, tuple[str, int]] = {}
        if self._known.get("upload"):
            try:
                there = self._list()
            except SinkError as error:
                if code_of(error.__cause__ or error) not in _LOST:
                    raise
                if (etag := self._finished(source)) is not None:
                    return etag
                self.abandon()
        if not self._known.get("upload"):
            self._begin(source, fields)
        parts = self._send_parts(source, there, told)
        source.check()
        faults.point("s3.before-complete")
        return self._complete(source, parts)

    def _begin(self, source: Source, fields: Mapping[str, Any]) -> None:
        if self._known.get("token"):
            self.abandon()
        size = part_size(source.size, self._client.options.part_size)
        token = uuid.uuid4().hex
        algorithm = self._client.part_algorithm
        self._store("part_size", str(size))
        self._store("checksum", algorithm.name)
        self._store("token", token)
        metadata = {**fields["Metadata"], OURS: token, PART_SIZE: str(size)}
        begun = self._call(
            "create_multipart_upload",
            **{**fields, "Metadata": metadata, **algorithm.upload},
        )
        faults.point("s3.created")
        self._store("upload", begun["UploadId"])

    def _list(self) -> dict[int, tuple[str, int]]:
        """The parts that the server has: their ETags and sizes."""
        found: dict[int, tuple[str, int]] = {}
        marker: dict[str, Any] = {}
        while True:
            page = self._call("list_parts", UploadId=self._known["upload"], **marker)
            for part in page.get("Parts", ()):
                found[part["PartNumber"]] = (part["ETag"].strip('"'), part["Size"])
            if not page.get("IsTruncated"):
                return found
            marker = {"PartNumberMarker": page["NextPartNumberMarker"]}

    def _finished(self, source: Source) -> str | None:
        """The ETag of the object if it is what this upload has become."""
        try:
            head = self._call("head_object")
        except MissingError:
            return None
        metadata = {name.lower(): value for name, value in head.get("Metadata", {}).items()}
        ours = metadata.get(OURS) == self._known["token"] and head["ContentLength"] == source.size
        return str(head["ETag"]).strip('"') if ours else None

    def _send_parts(
        self, source: Source, there: Mapping[int, tuple[str, int]], told: Told
    ) -> list[_Part]:
        done: list[_Part] = []
        missing: list[int] = []
        count = -(-source.size // int(self._known["part_size"]))
        for number in range(1, count + 1):
            part = self._reusable(source, number, there.get(number))
            if part is None:
                missing.append(number)
            else:
                done.append(part)
        told.parts(len(done), count)
        for part in self._in_parallel(source, iter(missing), told.report):
            done.append(part)
            told.parts(len(done), count)
        return sorted(done)

    def _reusable(self, source: Source, number: int, there: tuple[str, int] | None) -> _Part | None:
        begin, size = self._slice(source, number)
        if there is None or there[1] != size:
            return None
        token, _, rest = self._known.get(f"part.{number}", "").partition(" ")
        etag, _, checksum = rest.partition(" ")
        if token == self._known["token"] and etag == there[0]:
            return _Part(number, etag, checksum)
        if md5_of(source, begin, size) != there[0]:
            return None
        # It arrived when nobody was there any more to write it down.
        return _Part(number, there[0], self._algorithm.of(blocks(source, begin, size)))

    @property
    def _algorithm(self) -> Algorithm:
        return ALGORITHMS[self._known["checksum"]]

    def _slice(self, source: Source, number: int) -> tuple[int, int]:
        size = int(self._known["part_size"])
        begin = (number - 1) * size
        return begin, min(size, source.size - begin)

    def _in_parallel(
        self, source: Source, missing: Iterator[int], report: Report
    ) -> Iterator[_Part]:
        """Send these; each is given when the server has it, and that is noted."""
        failure: BaseException | None = None
        at_once = self._client.options.part_transfers
        with ThreadPoolExecutor(at_once, thread_name_prefix="part") as pool:
            running: set[Future[_Part]] = set()
            while True:
                while failure is None and len(running) < at_once:
                    number = next(missing, None)
                    if number is None:
                        break
                    running.add(pool.submit(self._send_part, source, number, report))
                if not running:
                    break
                ended, running = wait(running, return_when=FIRST_COMPLETED)
                for each in ended:
                    if (error := each.exception()) is not None:
                        # The others go on to their end: what they have sent is not sent again.
                        failure = failure or error
                        continue
                    part = each.result()
                    words = (self._known["token"], part.etag, part.checksum)
                    self._store(f"part.{part.number}", " ".join(words))
                    yield part
        if failure is not None:
            raise failure

    def _send_part(self, source: Source, number: int, report: Report) -> _Part:
        begin, size = self._slice(source, number)
        algorithm = self._algorithm
        with self._client.turns.turn((self._rank, number)):
            piece: Readable = source
            if size <= LARGEST_HELD:
                piece = held = Held(source, begin, size)
                checksum = algorithm.of([held.data])
            else:
                checksum = algorithm.of(blocks(source, begin, size))
            answer = self._call(
                "upload_part",
                UploadId=self._known["upload"],
                PartNumber=number,
                body=Body(piece, begin, size, report),
                **{algorithm.field: checksum},
            )
        faults.point("s3.part-sent")
        return _Part(number, answer["ETag"].strip('"'), checksum)

    def _complete(self, source: Source, parts: list[_Part]) -> str:
        algorithm = self._algorithm
        listed = [
            {"PartNumber": part.number, "ETag": part.etag}
            | ({algorithm.field: part.checksum} if algorithm.per_part else {})
            for part in parts
        ]
        try:
            self._call(
                "complete_multipart_upload",
                UploadId=self._known["upload"],
                MultipartUpload={"Parts": listed},
            )
        except SinkError as error:
            # The answer to an earlier try may have been lost.
            etag = self._finished(source) if code_of(error.__cause__ or error) in _LOST else None
            if etag is None:
                raise
        faults.point("s3.completed")
        head = self._call("head_object")
        # Each part was verified; an ETag is not made in the same way everywhere.
        if head["ContentLength"] != source.size:
            reason = f"{source.size:,} bytes became an object of {head['ContentLength']:,}"
            raise CorruptedError(place=self._place, reason=reason)
        return str(head["ETag"]).strip('"')

    # ------------------------------------------------------------------ small steps

    def _abort(self, upload: str) -> None:
        abort(self._client, self._key, upload, self._place)

    def _store(self, key: str, value: str) -> None:
        self._memory.store(key, value)
        self._known[key] = value

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return self._client.call(operation, self._place, Key=self._key, **arguments)


def abort(client: Client, key: str, upload: str, place: str) -> None:
    """Abort an upload; it is no error if it is gone."""
    try:
        client.call("abort_multipart_upload", place, Key=key, UploadId=upload)
    except SinkError as error:
        if code_of(error.__cause__ or error) not in _LOST:
            raise


def unfinished(client: Client, prefix: str, place: str) -> Iterator[dict[str, Any]]:
    """The uploads that are not finished, of keys with this prefix; ``Date``: the server's time."""
    marker: dict[str, Any] = {}
    while True:
        try:
            page = client.call("list_multipart_uploads", place, Prefix=prefix, **marker)
        except SinkError as error:
            if code_of(error.__cause__ or error) == "NoSuchUpload":
                return  # rclone's way to say that the bucket has none
            raise
        date = page["ResponseMetadata"]["HTTPHeaders"].get("date", "")
        for upload in page.get("Uploads", ()):
            yield {**upload, "Date": date}
        if not page.get("IsTruncated"):
            return
        marker = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
