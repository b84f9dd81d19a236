"""Objects that are put in one piece, one at a time or many at once."""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, NamedTuple

from zfs_walk import faults
from zfs_walk.sinks import s3_metadata
from zfs_walk.sinks.errors import SinkError
from zfs_walk.sinks.interface import Parcel, Remote, permissions
from zfs_walk.sinks.s3_client import Client
from zfs_walk.sinks.s3_fast import LARGEST, FastPut
from zfs_walk.sinks.s3_keys import key_of

TOGETHER: Final = 32
"""Objects that one thread has on their way at once. The slowest of them is waited for before the
next ones: with 16 the other connections would be idle for longer, and a quarter less arrives."""


class _Object(NamedTuple):
    """What is to be put: read, and found unchanged."""

    name: bytes
    key: str
    data: bytes
    metadata: dict[str, str]
    content_type: str
    mtime_ns: int
    mode: int | None

    def is_there(self, etag: str) -> Remote:
        """It was put."""
        faults.point("s3.put")
        return Remote(self.name, len(self.data), self.mtime_ns, etag, self.mode)


class Puts:
    """Puts files below the prefix of a bucket; used by one thread at a time.

    Args:
        client: of the bucket.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pool: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """Hold nothing open."""
        if self._loop is not None:
            self._loop.close()
            self._loop = None
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def put(self, parcel: Parcel) -> Remote:
        """Do what `Sink.send` does."""
        ready = self._read(parcel)
        fast = self._client.fast if len(ready.data) <= LARGEST else None
        etag = fast.put(*_words(ready)) if fast else None
        return self._put_slowly(ready) if etag is None else ready.is_there(etag)

    def put_together(self, parcels: Sequence[Parcel]) -> list[Remote | Exception]:
        """Do what `Together.send_together` does."""
        try:
            fast = self._client.fast
        except SinkError as error:
            return [error] * len(parcels)
        if fast is None:
            return self._put_rest(map(self._read_or_error, parcels))
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._put_rest(self._loop.run_until_complete(self._put_fast(fast, parcels)))

    # ------------------------------------------------------------------ small steps

    def _read(self, parcel: Parcel) -> _Object:
        source, name, report = parcel
        key = key_of(self._client.bucket.prefix, name)
        data = source.read(source.size, 0)
        report(len(data))
        source.check()
        kind = s3_metadata.content_type(source, name)
        return _Object(
            name, key, data, s3_metadata.of(source), kind, source.stat.st_mtime_ns,
            permissions(source.stat.st_mode),
        )  # fmt: skip

    def _read_or_error(self, parcel: Parcel) -> _Object | Exception:
        try:
            return self._read(parcel)
        except Exception as error:  # noqa: BLE001 -- it is returned as this parcel's own
            return error

    async def _put_fast(
        self, fast: FastPut, parcels: Sequence[Parcel]
    ) -> list[Remote | _Object | Exception]:
        """What is there, what went wrong, and what has to be put otherwise."""
        begun: list[tuple[_Object | Exception, Awaitable[Any] | None]] = []
        for parcel in parcels:
            ready = self._read_or_error(parcel)
            # It is under way from now on, also while the next ones are read.
            put = fast.begin(*_words(ready)) if isinstance(ready, _Object) else None
            begun.append((ready, put))
        ended: list[Remote | _Object | Exception] = []
        for ready, put in begun:
            if isinstance(ready, _Object) and put is not None and (etag := await fast.end(put)):
                ended.append(ready.is_there(etag))
            else:
                ended.append(ready)
        return ended

    def _put_rest(self, found: Iterable[Remote | _Object | Exception]) -> list[Remote | Exception]:
        begun = [self._begin(each) if isinstance(each, _Object) else each for each in found]
        return [_outcome(each) if isinstance(each, Future) else each for each in begun]

    def _begin(self, ready: _Object) -> Future[Remote]:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(TOGETHER, thread_name_prefix="put")
        return self._pool.submit(self._put_slowly, ready)

    def _put_slowly(self, ready: _Object) -> Remote:
        client, algorithm = self._client, self._client.algorithm
        fields: dict[str, Any] = {
            "Metadata": ready.metadata,
            "ContentType": ready.content_type,
            algorithm.field: algorithm.of([ready.data]),
            **client.storage(),
        }
        place = client.place_of(ready.key)
        answer = client.call("put_object", place, Key=ready.key, Body=ready.data, **fields)
        return ready.is_there(str(answer["ETag"]).strip('"'))


def _words(ready: _Object) -> tuple[str, bytes, dict[str, str]]:
    return ready.key, ready.data, {**ready.metadata, "Content-Type": ready.content_type}


def _outcome(future: Future[Remote]) -> Remote | Exception:
    try:
        return future.result()
    except Exception as error:  # noqa: BLE001 -- it is returned as this parcel's own
        return error
