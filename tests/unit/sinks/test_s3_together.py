"""Objects that are put together are on their way at once, whoever puts them."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from zfs_walk.sinks.conformance.place import Origin, freely
from zfs_walk.sinks.errors import DeniedError
from zfs_walk.sinks.interface import Parcel, Remote
from zfs_walk.sinks.s3 import S3Sink
from zfs_walk.sinks.s3_keys import PROBE
from zfs_walk.sinks.s3_options import S3Options
from zfs_walk.sinks.s3_put import TOGETHER


class Server(ThreadingHTTPServer):
    """Answers a PUT when as many are there as go together, and denies some keys."""

    request_queue_size = TOGETHER

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.all_there = threading.Barrier(TOGETHER, timeout=30)
        self.denied: set[str] = set()
        self.agents: dict[str, str] = {}


class Handler(BaseHTTPRequestHandler):
    """See `Server`."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        key = self.path.partition("?")[0].rpartition("/")[2]
        denied = key in self.server.denied
        if PROBE.partition("%")[0] not in key and not denied:
            self.server.agents[key] = self.headers["User-Agent"]
            self.server.all_there.wait()
        self._answer(403 if denied else 200)

    def do_DELETE(self) -> None:
        self._answer(204)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("ETag", '"etag"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.mark.parametrize(("checksum", "agent"), [("sha256", "object_store"), ("md5", "Botocore")])
def test_those_that_are_put_together_are_on_their_way_at_once(
    server: Server, tmp_path: Path, checksum: str, agent: str
) -> None:
    url = f"http://127.0.0.1:{server.server_port}"
    sink = S3Sink(
        "s3://bucket", S3Options.model_validate({"endpoint_url": url, "checksum": checksum})
    )
    origin = Origin(tmp_path)
    names = [b"file%d" % number for number in range(TOGETHER)]
    server.denied = {"denied"}
    parcels = [Parcel(origin.made(name, name), name, freely) for name in [*names, b"denied"]]
    # The one that is denied is boto3's, which tells why, also where obstore is the first to try.
    [*sent, denied] = sink.send_together(parcels)
    assert [each.name for each in sent if isinstance(each, Remote)] == names
    assert isinstance(denied, DeniedError)
    assert {agent in each for each in server.agents.values()} == {True}
    sink.close()
    origin.close()


def test_a_server_that_is_not_there_is_told_of_each(tmp_path: Path) -> None:
    with Server() as gone:
        url = f"http://127.0.0.1:{gone.server_port}"
    sink = S3Sink("s3://bucket", S3Options(endpoint_url=url, checksum="sha256"))
    origin = Origin(tmp_path)
    parcels = [Parcel(origin.made(name, name), name, freely) for name in (b"a", b"b")]
    results = sink.send_together(parcels)
    assert [getattr(each, "whole", None) for each in results] == [True, True]
    sink.close()
    origin.close()
