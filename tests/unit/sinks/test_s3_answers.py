"""What a server says, over HTTP, and what an S3 sink makes of it."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from tests.process.place import wait_for
from zfs_walk.sinks.choose import open_sink
from zfs_walk.sinks.conformance.place import Notes, Origin, freely
from zfs_walk.sinks.errors import (
    CorruptedError,
    DeniedError,
    FileRefusedError,
    FullSinkError,
    NameRefusedError,
    SinkError,
    SinkRefusedError,
    TransientError,
    UnreachableSinkError,
)
from zfs_walk.sinks.interface import Dialing
from zfs_walk.sinks.s3_body import Body
from zfs_walk.sinks.s3_checksums import CRC32, CRC32C, MD5, SHA256, Algorithm
from zfs_walk.sinks.s3_client import Client
from zfs_walk.sinks.s3_options import S3Options, parse


class Answer(BaseHTTPRequestHandler):
    """Says the same to everybody, or to those only who have a method."""

    protocol_version = "HTTP/1.1"
    status: int
    body: bytes
    only = ""
    heard: ClassVar[list[str]] = []
    """What each request was signed with in place of its content."""

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.heard.append(self.headers.get("x-amz-content-sha256", ""))
        self.send_response(self.status if self.only in {"", self.command} else 200)
        body = b"" if self.command == "HEAD" else self.body
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_HEAD = do_GET = do_DELETE = _answer  # noqa: N815 -- as http.server wants them

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def answer() -> type[Answer]:
    class Mine(Answer):
        status = 500
        body = b""
        heard: ClassVar[list[str]] = []

    return Mine


@pytest.fixture
def endpoint(answer: type[Answer], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "expired")
    server = ThreadingHTTPServer(("127.0.0.1", 0), answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("status", [400, 403])
def test_a_denial_that_is_of_one_file_may_pass(
    answer: type[Answer], endpoint: str, status: int
) -> None:
    answer.status, answer.only = status, "HEAD"
    sink = open_sink("s3://bucket/prefix", {"endpoint_url": endpoint, "checksum": "md5"})
    sink.check()
    with pytest.raises(DeniedError) as caught:
        sink.look(b"file")
    assert caught.value.again
    sink.close()


Case = tuple[int, str, str, type[SinkError], str]
CASES: list[Case] = [
    (400, "ExpiredToken", "The provided token has expired.", SinkRefusedError, "get new cred"),
    (403, "RequestTimeTooSkewed", "", SinkRefusedError, "clock"),
    (403, "InvalidAccessKeyId", "", SinkRefusedError, "access key"),
    (403, "AccessDenied", "Access Denied", SinkRefusedError, "Access Denied"),
    (404, "NoSuchBucket", "", SinkRefusedError, "no such bucket"),
    (400, "KMS.DisabledException", "", SinkRefusedError, "disabled"),
    (503, "SlowDown", "Please reduce your request rate.", UnreachableSinkError, "SlowDown"),
    (500, "InternalError", "We encountered an internal error.", UnreachableSinkError, "Internal"),
    (400, "RequestTimeout", "", TransientError, "RequestTimeout"),
    (500, "InternalError", "write /d: no space left on device", FullSinkError, "no space"),
    (507, "InsufficientStorage", "", FullSinkError, "InsufficientStorage"),
    (403, "QuotaExceeded", "", FullSinkError, "QuotaExceeded"),
    (400, "BadDigest", "", CorruptedError, "BadDigest"),
    (400, "KeyTooLongError", "Your key is too long", NameRefusedError, "too long"),
    (400, "EntityTooLarge", "", FileRefusedError, "EntityTooLarge"),
    (502, "", "<html>Bad Gateway</html>", UnreachableSinkError, ""),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[1])
def test_an_answer_has_its_meaning(
    answer: type[Answer], endpoint: str, tmp_path: Path, case: Case
) -> None:
    status, code, message, meaning, words = case
    answer.status = status
    text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>" if code else message
    answer.body = text.encode()
    options = {"endpoint_url": endpoint, "checksum": "md5"}
    sink, origin = open_sink("s3://bucket/prefix", options), Origin(tmp_path)
    with pytest.raises(SinkError) as caught:
        sink.check()
    # The file of a check is nobody's, so what refuses it refuses all.
    expected = SinkRefusedError if issubclass(meaning, FileRefusedError) else meaning
    assert type(caught.value) is expected
    assert words in str(caught.value)
    if meaning is expected:
        with pytest.raises(meaning):
            sink.send(origin.made(b"file", b"content"), b"file", Notes(), freely)
    assert "secret" not in str(caught.value)
    origin.close()
    sink.close()


def test_a_file_that_is_refused_alone_stays_alone(
    answer: type[Answer], endpoint: str, tmp_path: Path
) -> None:
    answer.status, answer.body = 200, b""
    sink = open_sink("s3://bucket", {"endpoint_url": endpoint, "checksum": "md5"})
    origin = Origin(tmp_path)
    sink.check()
    answer.status = 400
    answer.body = b"<Error><Code>EntityTooLarge</Code><Message>no</Message></Error>"
    with pytest.raises(FileRefusedError) as caught:
        sink.send(origin.made(b"file", b"content"), b"file", Notes(), freely)
    assert not caught.value.whole
    origin.close()
    sink.close()


@pytest.mark.parametrize("algorithm", [SHA256, CRC32, CRC32C, MD5], ids=lambda each: each.name)
def test_what_tls_does_not_protect_is_signed(
    answer: type[Answer], endpoint: str, origin: Origin, algorithm: Algorithm
) -> None:
    answer.status = 200
    content = b"content"
    source = origin.made(b"file", content)
    client = Client(parse("s3://bucket"), S3Options(endpoint_url=endpoint))
    fields = {algorithm.field: algorithm.of([content])}
    body = Body(source, 0, len(content), freely)
    client.call("upload_part", "", Key="k", UploadId="u", PartNumber=1, body=body, **fields)
    client.call("delete_object", "", Key="k")
    # The checksum itself is signed, and nobody can make another content that has this one.
    signed = "UNSIGNED-PAYLOAD" if algorithm is SHA256 else hashlib.sha256(content).hexdigest()
    assert answer.heard == [signed, hashlib.sha256(b"").hexdigest()]
    client.leave()
    source.close()


def test_it_dials_without_waiting(answer: type[Answer], endpoint: str) -> None:
    answer.status = 200
    sink = open_sink("s3://bucket", {"endpoint_url": endpoint, "checksum": "md5"})
    assert isinstance(sink, Dialing)
    sink.dial()
    wait_for("the server is asked", lambda: answer.heard)
    sink.close()


def test_what_is_wrong_with_a_connection_is_told_by_what_is_done_first() -> None:
    sink = open_sink("s3://bucket", {"profile": "nobody"})
    assert isinstance(sink, Dialing)
    sink.dial()
    with pytest.raises(SinkRefusedError, match="nobody"):
        sink.check()
    sink.close()
