"""Small files by obstore, which takes a tenth of boto3's time for each (bench/RESULTS.md).

Whatever goes wrong with it is not looked into: the file is sent by boto3 then, which tells.
"""

import datetime as dt
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Final, Self, cast

from zfs_walk.sinks.s3_options import MIB, S3Options

LARGEST: Final = MIB
"""Bytes; with larger files the server's time counts, not ours."""

if TYPE_CHECKING:
    from obstore.store import ClientConfig

_TTL: Final = dt.timedelta(minutes=5)
"""For which credentials are kept: botocore renews those that expire ten minutes before."""


class FastPut:
    """Puts small objects with a SHA-256 that the server verifies.

    Args:
        store: of obstore.
    """

    def __init__(self, store: Any) -> None:
        import obstore  # noqa: PLC0415 -- see `possible`
        from obstore.exceptions import BaseError  # noqa: PLC0415 -- the same

        self._store = store
        self._put = obstore.put
        self._put_async = obstore.put_async
        self._failures = (BaseError, OSError, ValueError)

    @classmethod
    def possible(cls, session: Any, meta: Any, bucket: str, options: S3Options) -> Self | None:
        """Return one for a bucket, or None: obstore is not there, or lacks what is asked for.

        Args:
            session: of botocore, for the credentials.
            meta: of botocore's client.
            bucket: its name.
            options: of the sink.
        """
        try:
            from obstore.auth.boto3 import Boto3CredentialProvider  # noqa: PLC0415 -- may be missing
            from obstore.exceptions import BaseError  # noqa: PLC0415 -- the same
            from obstore.store import S3Store  # noqa: PLC0415 -- the same
        except ImportError:
            return None
        if options.storage_class or options.encryption:
            return None
        path_style = meta.config.s3.get("addressing_style") == "path"
        if options.endpoint_url is not None and not path_style:
            return None
        config: dict[str, Any] = {
            "region": meta.region_name,
            "virtual_hosted_style_request": not path_style,
            "checksum_algorithm": "SHA256",
            # The checksum is signed, and it is that of the payload.
            "unsigned_payload": True,
        }
        http: dict[str, Any] = {
            "allow_http": True,
            "connect_timeout": "10s",
            "timeout": f"{options.timeout}s",
        }
        if options.endpoint_url is not None:
            config["endpoint"] = options.endpoint_url
        try:
            if options.ca_file is not None:
                http["root_certificate"] = options.ca_file.read_bytes()
            store = S3Store(
                bucket,
                credential_provider=Boto3CredentialProvider(session, ttl=_TTL),
                client_options=cast("ClientConfig", http),
                retry_config={"max_retries": 0},
                **config,
            )
        except (BaseError, OSError, ValueError):
            return None
        return cls(store)

    def put(self, key: str, data: bytes, attributes: dict[str, str]) -> str | None:
        """Put an object; returns its ETag, or None: it must be done otherwise."""
        try:
            put = self._put(self._store, key, data, attributes=attributes, use_multipart=False)
        except self._failures:
            return None
        return _etag(put)

    def begin(self, key: str, data: bytes, attributes: dict[str, str]) -> Awaitable[Any] | None:
        """Begin to put an object, in a running loop; returns what `end` takes."""
        try:
            # Under way from now on, whatever the loop does.
            return self._put_async(
                self._store, key, data, attributes=attributes, use_multipart=False
            )
        except self._failures:
            return None

    async def end(self, begun: Awaitable[Any] | None) -> str | None:
        """Wait for an object that was begun; returns what `put` does."""
        if begun is None:
            return None
        try:
            return _etag(await begun)
        except self._failures:
            return None


def _etag(put: Any) -> str | None:
    return (put["e_tag"] or "").strip('"') or None
