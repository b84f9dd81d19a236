"""The connection to a bucket, shared by all forks of a sink."""

import contextlib
import threading
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from zfs_walk.sinks.errors import (
    CorruptedError,
    DeniedError,
    FileRefusedError,
    SinkRefusedError,
    TransientError,
    UnreachableSinkError,
)
from zfs_walk.sinks.s3_body import Body
from zfs_walk.sinks.s3_checksums import ALGORITHMS, MD5, SHA256, Algorithm
from zfs_walk.sinks.s3_errors import (
    DENIED,
    SERVER_ERROR,
    code_of,
    is_silence,
    says_little,
    status_of,
    translate,
)
from zfs_walk.sinks.s3_fast import FastPut
from zfs_walk.sinks.s3_keys import PROBE
from zfs_walk.sinks.s3_options import Bucket, S3Options
from zfs_walk.sinks.s3_turns import Turns

_CONNECT: Final = 10.0
"""Seconds until a connection must stand."""
_CONNECTIONS: Final = 256
"""Kept for the next request: as many as eight transfers of 32 small files each have. More are
opened when they are needed, and urllib3 warns of each that it can't keep."""


class Client:
    """Calls the server; used by any number of threads.

    Args:
        bucket: whose objects it is about.
        options: of the sink.

    Attributes:
        turns: whose part is sent next.
    """

    def __init__(self, bucket: Bucket, options: S3Options) -> None:
        self.bucket = bucket
        self.options = options
        self.place = f"s3://{bucket.name}/{bucket.prefix}"
        self.turns = Turns(options.part_transfers)
        self._lock = threading.RLock()
        self._users = 1
        self._session: Any = None
        self._boto: Any = None
        self._algorithm: Algorithm | None = None
        self._fast: FastPut | None = None
        self._looked_for_fast = False

    # ------------------------------------------------------------------ what is shared

    def join(self) -> None:
        """Count one more user."""
        with self._lock:
            self._users += 1

    def leave(self) -> None:
        """Count one less; the last one closes the connections."""
        with self._lock:
            self._users -= 1
            if self._users <= 0 and self._boto is not None:
                self._boto.close()
                self._boto = self._fast = None
                self._looked_for_fast = False

    @property
    def algorithm(self) -> Algorithm:
        """The checksum that the server verifies."""
        with self._lock:
            if self._algorithm is None:
                self.probe()
            return self._algorithm or MD5

    @property
    def fast(self) -> FastPut | None:
        """The fast way for small files; None: it is not possible here."""
        with self._lock:
            if not self._looked_for_fast and self.algorithm is SHA256:
                self._looked_for_fast = True
                self._fast = FastPut.possible(
                    self._session, self._connected().meta, self.bucket.name, self.options
                )
            return self._fast

    def place_of(self, key: str) -> str:
        """An object's URL."""
        return f"s3://{self.bucket.name}/{key}"

    # ------------------------------------------------------------------ calls

    def call(
        self, operation: str, place: str, *, body: Body | None = None, **arguments: Any
    ) -> dict[str, Any]:
        """Call the server about the bucket.

        Args:
            operation: the name of boto3's method.
            place: where the file goes, for what goes wrong.
            body: of the request, if it is not in ``arguments``.
            arguments: of the method.

        Raises:
            SinkError: it failed.
        """
        try:
            return self._call(operation, place, body=body, **arguments)
        except (FileRefusedError, TransientError) as error:
            if says_little(error.__cause__ or error):
                # If nothing can be written any more, it is not this file's fault.
                self.probe()
                if isinstance(error, FileRefusedError):
                    # Rights that are being changed, or a request that was spoiled on its way.
                    raise DeniedError(**error.fields) from error.__cause__
            raise

    def _call(
        self, operation: str, place: str, *, body: Body | None = None, **arguments: Any
    ) -> dict[str, Any]:
        try:
            with self._lock:
                method = getattr(self._connected(), operation)
            if body is not None:
                arguments |= {"Body": body, "ContentLength": body.size}
            answer: dict[str, Any] = method(Bucket=self.bucket.name, **arguments)
        except (BotoCoreError, ClientError, ResponseParserError) as error:
            if body is not None and body.failure is not None:
                # What went wrong on this side, which boto3 has wrapped in something of its own.
                raise body.failure from None
            raise translate(error, place) from error
        return answer

    def probe(self) -> None:
        """See that objects can be written; find out which checksum the server verifies.

        Raises:
            SinkError: they can't.
        """
        with self._lock:
            if self._algorithm is not None:
                self._write(self._algorithm)
            elif self.options.checksum != "auto":
                self._write(ALGORITHMS[self.options.checksum])
                self._choose(ALGORITHMS[self.options.checksum])
            else:
                self._choose(next(each for each in ALGORITHMS.values() if self._verifies(each)))
        with contextlib.suppress(FileRefusedError):
            # There are buckets that take what is new and give nothing up: one tiny object stays.
            self._call("delete_object", self.place, Key=self.bucket.prefix + PROBE)

    def _verifies(self, algorithm: Algorithm) -> bool:
        if algorithm is MD5:
            self._write(algorithm)
            return True
        try:
            self._write(algorithm)
        except (SinkRefusedError, UnreachableSinkError) as error:
            if code_of(error.__cause__ or error) in {*DENIED, "NotImplemented", "InvalidRequest"}:
                return False  # a server that stumbles over such a header
            raise
        try:
            self._write(algorithm, wrong=True)
        except (CorruptedError, SinkRefusedError):
            return True
        return False

    def _write(self, algorithm: Algorithm, *, wrong: bool = False) -> None:
        content = b"zfs_walk\n"
        checksum = algorithm.of([content[::-1] if wrong else content])
        fields: dict[str, Any] = {algorithm.field: checksum, "Body": content, **self.storage()}
        try:
            self._call("put_object", self.place, Key=self.bucket.prefix + PROBE, **fields)
        except FileRefusedError as error:
            # It is no particular file that it refuses.
            raise SinkRefusedError(**error.fields) from error.__cause__
        except TransientError as error:
            cause = error.__cause__ or error
            if status_of(cause) < SERVER_ERROR and not is_silence(cause):
                raise
            raise UnreachableSinkError(**error.fields) from error.__cause__

    def storage(self) -> dict[str, str]:
        """The fields that say how an object is to be kept."""
        options = self.options
        fields = {
            "StorageClass": options.storage_class,
            "ServerSideEncryption": options.encryption,
            "SSEKMSKeyId": options.kms_key,
        }
        return {name: value for name, value in fields.items() if value is not None}

    # ------------------------------------------------------------------ connections

    def _choose(self, algorithm: Algorithm) -> None:
        self._algorithm = algorithm
        if self._signs_payload(algorithm) and self._boto is not None:
            self._boto.close()
            self._boto = None

    def _signs_payload(self, algorithm: Algorithm) -> bool:
        # What TLS does not protect, the signature must: by a checksum that is signed itself, if
        # nobody can make another content that has it, else by one of the payload.
        url = self.options.endpoint_url or ""
        return url.startswith("http://") and algorithm is not SHA256

    def _connected(self) -> Any:
        if self._boto is None:
            self._boto = self._connect()
        return self._boto

    def _connect(self) -> Any:
        options = self.options
        style = options.addressing
        if style == "auto" and options.endpoint_url is not None:
            style = "path"
        signed = self._signs_payload(self._algorithm or ALGORITHMS.get(options.checksum, SHA256))
        self._session = boto3.Session(profile_name=options.profile)
        made = self._session.client(
            "s3",
            endpoint_url=options.endpoint_url,
            region_name=options.region or self._session.region_name or "us-east-1",
            verify=None if options.ca_file is None else str(options.ca_file),
            config=Config(
                connect_timeout=_CONNECT,
                read_timeout=options.timeout,
                max_pool_connections=_CONNECTIONS,
                # Only what passes within a moment: the rest is waited for by whoever queues.
                retries={"mode": "standard", "total_max_attempts": 3},
                # Each request that has a checksum is given it by us.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3={"addressing_style": style, "payload_signing_enabled": signed},
            ),
        )
        made.meta.events.register("before-sign.s3", _signing)
        made.meta.events.register("before-send.s3", _sending)
        return made


def _signing(request: Any, **_: Any) -> None:
    _note(request, sending=False)


def _sending(request: Any, **_: Any) -> None:
    _note(request, sending=True)


def _note(request: Any, *, sending: bool) -> None:
    body = getattr(request, "body", None)
    if not isinstance(body, Body):
        body = getattr(request, "data", None)
    if isinstance(body, Body):
        body.sending = sending
