"""Senders that are killed, and what is sent again after it."""

import json
import os
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import google_crc32c
import pytest

from tests.servers import sender
from tests.servers.proxy import Proxy, proxied
from tests.servers.s3 import BUCKET, Home, Server, scratch, served
from zfs_walk import faults
from zfs_walk.sinks.choose import open_sink
from zfs_walk.sinks.conformance.place import Notes, Origin, counting, freely, stop_after
from zfs_walk.sinks.errors import SinkError, StoppedError, UnreachableSinkError
from zfs_walk.sinks.interface import Sink

pytestmark = [pytest.mark.slow, pytest.mark.big]

MIB = 1 << 20
PART = 5 * MIB
WORKERS = 2

MOVE = """
import json, sys
from zfs_walk.sinks.choose import open_sink

open_sink(sys.argv[1], json.loads(sys.argv[2])).move(b"old", b"new")
"""


class Scene:
    """A folder with a file, a place behind a proxy, and processes that send."""

    def __init__(self, folder: Path, home: Home, proxy: Proxy) -> None:
        self.origin = Origin(folder)
        self.home = home
        self.proxy = proxy
        self.notes = sender.Notes(folder.parent / "notes")
        self.arguments = [os.fsdecode(self.origin.folder), "file", str(folder.parent / "notes")]
        self._started: list[subprocess.Popen[bytes]] = []

    def options(self, **more: Any) -> dict[str, Any]:
        return self.home.options(endpoint_url=f"http://127.0.0.1:{self.proxy.port}", **more)

    def start(self, point: str = "", **options: Any) -> subprocess.Popen[bytes]:
        """Start sending the file, until it is killed at a point."""
        program = [sys.executable, str(Path(sender.__file__)), self.home.url]
        process = subprocess.Popen(
            [*program, json.dumps(self.options(**options)), *self.arguments],
            env={**os.environ, faults.VARIABLE: point},
        )
        self._started.append(process)
        return process

    def killed(self, point: str) -> None:
        """Let a sender go as far as a point, where it is killed."""
        assert self.start(point).wait(120) == -signal.SIGKILL

    def again(self) -> int:
        """Send to the end; returns the bytes that went."""
        before = self.proxy.sent
        assert self.start().wait(120) == 0
        return self.proxy.sent - before

    def sink(self, **more: Any) -> Sink:
        return open_sink(self.home.url, self.options(**more))

    def close(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()
        self.origin.close()


@pytest.fixture
def scene(tmp_path: Path, weed_home: Home) -> Iterator[Scene]:
    folder = tmp_path / "origin"
    folder.mkdir()
    with proxied(weed_home.server.port) as proxy:
        made = Scene(folder, weed_home, proxy)
        yield made
        made.close()


def wait_for(what: str, condition: Callable[[], object], seconds: float = 120.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"waited {seconds:.0f} s in vain: {what}"
        time.sleep(0.01)


def sha256sum(path: bytes) -> str:
    done = subprocess.run(["/usr/bin/sha256sum", path], capture_output=True, check=True)
    return done.stdout.split()[0].decode()


@pytest.mark.timeout(900)
def test_after_a_kill_in_a_gibibyte_at_most_a_part_per_worker_is_sent_again(
    weed_home: Home,
) -> None:
    size, part, workers = 1 << 30, 16 * MIB, 4
    options: dict[str, Any] = {"part_size": "16MiB", "part_transfers": workers}
    with scratch() as folder, proxied(weed_home.server.port) as proxy:
        (folder / "origin").mkdir()
        scene = Scene(folder / "origin", weed_home, proxy)
        path = scene.origin.path(b"file")
        with Path(os.fsdecode(path)).open("wb") as file:
            file.writelines(os.urandom(MIB) for _ in range(size // MIB))
        process = scene.start(**options)
        wait_for("the middle of the file", lambda: proxy.sent > size * 2 // 5)
        process.kill()
        process.wait()
        assert weed_home.content(b"file") is None
        assert scene.start(**options).wait(600) == 0
        # Headers, and what the server did not take, are less than one more part.
        assert size < proxy.sent < size + (workers + 1) * part
        there = folder / "there"
        with there.open("wb") as file:
            weed_home.client.download_fileobj(BUCKET, weed_home.keys()[b"file"], file)
        assert sha256sum(bytes(there)) == sha256sum(path)
        assert weed_home.uploads() == []
        scene.close()


@pytest.mark.parametrize(
    ("point", "most"),
    [
        ("s3.created", 20 * MIB),
        ("s3.part-sent", 20 * MIB),
        ("s3.part-sent:3", 20 * MIB - PART),
        ("s3.before-complete", 0),
        ("s3.completed", 0),
    ],
)
def test_wherever_it_is_killed_it_goes_on(scene: Scene, point: str, most: int) -> None:
    data = os.urandom(20 * MIB)
    scene.origin.write(b"file", data)
    scene.killed(point)
    assert scene.home.content(b"file") == (data if point == "s3.completed" else None)
    assert scene.again() < most + MIB
    assert scene.home.content(b"file") == data
    assert scene.home.uploads() == []


def test_a_small_file_whose_sender_was_killed_is_sent_again(scene: Scene) -> None:
    scene.origin.write(b"file", b"content")
    scene.killed("s3.put")
    scene.again()
    assert scene.home.content(b"file") == b"content"


def test_of_a_file_that_has_changed_nothing_is_used(scene: Scene) -> None:
    scene.origin.write(b"file", os.urandom(20 * MIB))
    scene.killed("s3.part-sent:3")
    assert len(scene.home.uploads()) == 1
    data = os.urandom(20 * MIB)
    source = scene.origin.made(b"file", data)
    sink = scene.sink()
    # What the engine does when it finds a memory of another fingerprint.
    sink.abandon(b"file", scene.notes)
    assert scene.home.uploads() == []
    sent: list[int] = []
    sink.send(source, b"file", Notes(), counting(sent))
    assert (sum(sent), scene.home.content(b"file")) == (len(data), data)
    sink.close()


def test_an_upload_of_which_nothing_was_written_down_is_found_and_aborted(scene: Scene) -> None:
    scene.origin.write(b"file", os.urandom(20 * MIB))
    scene.killed("s3.created")
    [orphan] = scene.home.uploads()
    assert orphan.endswith("/file")
    sink = scene.sink()
    sink.abandon(b"file", scene.notes)
    assert scene.home.uploads() == []
    sink.close()


def test_an_upload_that_nobody_knows_is_aborted_when_it_is_old_enough(scene: Scene) -> None:
    scene.origin.write(b"file", os.urandom(20 * MIB))
    scene.killed("s3.part-sent")
    patient, strict = scene.sink(stale_days=1), scene.sink()
    assert patient.sweep(frozenset()) == 0
    assert strict.sweep(scene.notes.known) == 0
    assert len(scene.home.uploads()) == 1
    assert strict.sweep(frozenset()) == 1
    assert scene.home.uploads() == []
    patient.close()
    strict.close()


def test_a_part_that_somebody_has_replaced_is_not_taken_for_ours(scene: Scene) -> None:
    data = os.urandom(20 * MIB)
    scene.origin.write(b"file", data)
    scene.killed("s3.part-sent:4")
    upload = scene.notes.load()["upload"]
    other = os.urandom(PART)
    checksum = b64encode(google_crc32c.value(other).to_bytes(4, "big")).decode()
    scene.home.client.upload_part(
        Bucket=BUCKET, Key=scene.home.uploads()[0], UploadId=upload, PartNumber=1,
        Body=other, ChecksumCRC32C=checksum,
    )  # fmt: skip
    # SeaweedFS keeps both and takes the one whose ETag is named; others have the last one only.
    scene.again()
    assert scene.home.content(b"file") == data


def test_when_the_server_is_gone_it_is_gone_on_with_when_it_is_back(scene: Scene) -> None:
    data = os.urandom(30 * MIB)
    source, memory, sink = scene.origin.made(b"file", data), Notes(), scene.sink(part_transfers=1)
    sink.check()

    def report(size: int) -> None:  # noqa: ARG001 -- what a report is
        if scene.proxy.sent > 18 * MIB:
            scene.proxy.down()

    with pytest.raises(UnreachableSinkError) as caught:
        sink.send(source, b"file", memory, report)
    assert caught.value.whole
    with pytest.raises(SinkError):
        sink.check()
    scene.proxy.up()
    sink.check()
    rest: list[int] = []
    sink.send(source, b"file", memory, counting(rest))
    assert sum(rest) <= 20 * MIB
    assert scene.home.content(b"file") == data
    sink.close()


def test_a_connection_that_is_cut_is_made_anew(scene: Scene) -> None:
    data, sink = os.urandom(20 * MIB), scene.sink()
    sink.check()
    scene.proxy.cut_after(7 * MIB)
    sink.send(scene.origin.made(b"file", data), b"file", Notes(), freely)
    assert scene.proxy.cuts == 1
    assert scene.home.content(b"file") == data
    sink.close()


@pytest.mark.parametrize("kind", ["weed", "rclone"])
def test_when_the_server_was_killed_the_file_arrives_all_the_same(
    kind: str,
    tmp_path: Path,
    credentials: None,  # noqa: ARG001 -- for the sink
) -> None:
    # SeaweedFS still has the upload then, rclone has forgotten it.
    with served(kind) as server:
        check_a_killed_server(server, tmp_path)


def check_a_killed_server(server: Server, tmp_path: Path) -> None:
    home, origin = Home(server), Origin(tmp_path)
    data, memory = os.urandom(30 * MIB), Notes()
    source, sink = origin.made(b"file", data), open_sink(home.url, home.options())
    with pytest.raises(StoppedError):
        sink.send(source, b"file", memory, stop_after(20 * MIB))
    server.kill()
    server.start()
    sent: list[int] = []
    sink.send(source, b"file", memory, counting(sent))
    assert home.content(b"file") == data
    assert (sum(sent) < len(data)) == (server.kind == "weed")
    assert sink.sweep(frozenset()) == 0
    sink.close()
    origin.close()
    home.close()


def test_a_move_that_was_killed_between_copy_and_deletion_is_finished(scene: Scene) -> None:
    sink = scene.sink()
    sink.send(scene.origin.made(b"old", b"content"), b"old", Notes(), freely)
    words = [scene.home.url, json.dumps(scene.options())]
    process = subprocess.run(
        [sys.executable, "-c", MOVE, *words],
        env={**os.environ, faults.VARIABLE: "s3.copied"},
        check=False,
    )
    assert process.returncode == -signal.SIGKILL
    assert set(scene.home.keys()) == {b"old", b"new"}
    assert sink.move(b"old", b"new").size == 7
    assert set(scene.home.keys()) == {b"new"}
    assert scene.home.content(b"new") == b"content"
    sink.close()
