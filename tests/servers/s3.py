"""S3 servers that the tests start: SeaweedFS, and rclone, which has other manners.

Any other one can be named: ZFS_WALK_TEST_S3=URL, with ZFS_WALK_TEST_S3_BUCKET=NAME and credentials
as AWS's own tools take them; its tests are named ``given``.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import boto3
import pytest
from botocore.config import Config

GIVEN = os.environ.get("ZFS_WALK_TEST_S3", "")
KINDS = ["weed", "rclone", *(["given"] if GIVEN else [])]
BUCKET = os.environ.get("ZFS_WALK_TEST_S3_BUCKET", "") if GIVEN else "bucket"
KEY, SECRET = "AKIDTEST", "SECRETTEST12345"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_EC2_METADATA_DISABLED": "true",
    # Nothing of the user's is read.
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
}
PATIENCE = 60.0
"""Seconds: a server is up in one; a busy test machine takes its time."""
GRPC = 10_000
"""SeaweedFS serves gRPC at each of its ports and this."""


def program(name: str) -> str:
    """Where a program is; the test is skipped if it is not there."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"needs {name}")
    return found


def free_ports(count: int) -> list[int]:
    """Ports that are free, and so is each one's for gRPC."""
    found: list[int] = []
    with contextlib.ExitStack() as bound:
        while len(found) < count:
            one = bound.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            other = bound.enter_context(socket.socket())
            with contextlib.suppress(OSError, OverflowError):
                other.bind(("127.0.0.1", port + GRPC))
                found.append(port)
    return found


class Server:
    """A process, with all that it starts, and its data."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.folder = folder
        self.data = folder / "data"
        self.data.mkdir(exist_ok=True)
        self._ports = free_ports(5)
        self.port = self._ports[0]
        self.endpoint = GIVEN if kind == "given" else f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    # ------------------------------------------------------------------ the process

    def _command(self) -> list[str]:
        if self.kind == "rclone":
            address = f"127.0.0.1:{self.port}"
            return [
                program("rclone"), "serve", "s3", "--addr", address,
                "--auth-key", f"{KEY},{SECRET}", "--config", "/dev/null", str(self.data),
            ]  # fmt: skip
        s3, master, volume, filer, admin = self._ports
        return [
            program("weed"), "mini", f"-dir={self.data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            "-master.telemetry=false", "-webdav=false", "-admin.ui=false", f"-s3.port={s3}",
            "-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
            f"-master.port={master}",
            f"-volume.port={volume}", f"-filer.port={filer}", f"-admin.port={admin}",
        ]  # fmt: skip

    def start(self) -> None:
        """Start it; returns when it answers."""
        if self.kind == "given":
            return
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self.folder,
                env={**os.environ, **CREDENTIALS},
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        until = time.monotonic() + PATIENCE
        while True:
            try:
                self.boto().create_bucket(Bucket=BUCKET)
            except Exception as error:  # whatever: it is not ready, or the bucket is there
                if "BucketAlready" in str(error):
                    return
                ended = self._process.poll() is not None
                if ended or time.monotonic() > until:
                    log_text = (self.folder / "log").read_text(errors="replace")[-3000:]
                    raise AssertionError(
                        f"{self.kind} is not ready: {error}\n{log_text}"
                    ) from error
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        """Kill it with all that it has started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    # ------------------------------------------------------------------ what is there

    def boto(self) -> Any:
        """A plain client, without retries."""
        config = Config(
            s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, connect_timeout=5
        )
        keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET}
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            config=config,
            **({} if self.kind == "given" else keys),
        )


class Home:
    """A prefix of one test in a server's bucket."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.prefix = f"test/{uuid.uuid4().hex}/"
        self.url = f"s3://{BUCKET}/{self.prefix}"
        self.client = server.boto()

    def options(self, **more: Any) -> dict[str, Any]:
        """Of a sink for this place, with small parts."""
        small = {"multipart_above": "5MiB", "part_size": "5MiB", "part_transfers": 2}
        return {"endpoint_url": self.server.endpoint, "stale_days": 0, **small, **more}

    def keys(self) -> dict[bytes, str]:
        """Each object's name and key."""
        pages = self.client.get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=BUCKET, Prefix=self.prefix)
        keys = [each["Key"] for page in found for each in page.get("Contents", ())]
        return {unquote_to_bytes(key[len(self.prefix) :]): key for key in keys}

    def content(self, name: bytes) -> bytes | None:
        """What an object holds."""
        key = self.keys().get(name)
        if key is None:
            return None
        answer = self.client.get_object(Bucket=BUCKET, Key=key)
        with contextlib.closing(answer["Body"]) as body:
            content: bytes = body.read()
        return content

    def fetch(self, folder: Path) -> None:
        """Make a file of each object, below an empty folder."""

        def fetch(name: bytes, key: str) -> None:
            path = folder / os.fsdecode(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            answer = self.client.get_object(Bucket=BUCKET, Key=key)
            with contextlib.closing(answer["Body"]) as body, path.open("xb") as file:
                shutil.copyfileobj(body, file, 1 << 20)

        with ThreadPoolExecutor(4) as pool:
            for each in [pool.submit(fetch, *found) for found in self.keys().items()]:
                each.result()

    def head(self, name: bytes) -> Mapping[str, Any]:
        """What the server tells of an object."""
        head: Mapping[str, Any] = self.client.head_object(Bucket=BUCKET, Key=self.keys()[name])
        return head

    def uploads(self) -> list[str]:
        """Keys of unfinished uploads."""
        answer = self.client.list_multipart_uploads(Bucket=BUCKET, Prefix=self.prefix)
        return [each["Key"] for each in answer.get("Uploads", ())]

    def close(self) -> None:
        """Take away what is there."""
        for key in self.keys().values():
            self.client.delete_object(Bucket=BUCKET, Key=key)
        self.client.close()


@contextlib.contextmanager
def served(kind: str) -> Iterator[Server]:
    """A server, killed at the end."""
    with scratch() as folder:
        server = Server(kind, folder)
        try:
            server.start()
            yield server
        finally:
            server.kill()


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder in memory, if there is one."""
    parent = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="zw-s3-", dir=parent if parent.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
