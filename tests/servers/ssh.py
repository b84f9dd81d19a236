"""Real SFTP servers: OpenSSH's, and rclone's, which has other manners."""

import contextlib
import functools
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.process.place import wait_for
from zfs_walk.sinks.errors import SinkRefusedError
from zfs_walk.sinks.sftp import SftpSink

Sinks = Callable[..., SftpSink]
"""Makes a sink: of a server, a folder below what it serves, perhaps the port of a proxy before it,
and options."""

SSHD = Path("/usr/sbin/sshd")
"""It wants to be started by its whole path: it starts itself again for each connection."""


@functools.cache
def rclone() -> str | None:
    """Where rclone is: beside this Python, or in the PATH."""
    beside = Path(sys.executable).with_name("rclone")
    return str(beside) if beside.exists() else shutil.which("rclone")


needs_sshd = pytest.mark.skipif(not SSHD.exists(), reason="needs sshd")
needs_rclone = pytest.mark.skipif(rclone() is None, reason="needs rclone")


def free_port() -> int:
    """A port of 127.0.0.1 that nothing has."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def make_key(path: Path, password: str = "") -> Path:
    """An SSH key without a comment."""
    run("ssh-keygen", "-q", "-t", "ed25519", "-C", "", "-N", password, "-f", path)
    return path


@dataclass
class Server:
    """A server and what it serves.

    Attributes:
        folder: of its own: keys, settings, logs.
        served: the folder that it serves.
        user: who logs in.
        root: how URLs name the served folder.
        command: how it is started; ``PORT`` stands for its port.
        port: at 127.0.0.1; it keeps it when it is started again.
    """

    folder: Path
    served: Path
    user: str
    root: str
    command: list[str]
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def log(self) -> Path:
        """What it says."""
        return self.folder / "log"

    @property
    def key(self) -> Path:
        """The private key that it lets in."""
        return self.folder / "user-key"

    @property
    def known_hosts(self) -> Path:
        """A file with its host key; written anew at each look."""
        path = self.folder / f"known_hosts.{self.port}"
        kind, key = (self.folder / "host-key.pub").read_text().split()[:2]
        path.write_text(f"[127.0.0.1]:{self.port} {kind} {key}\n")
        return path

    def url(self, below: str = "", port: int | None = None) -> str:
        """Of a folder below the served one."""
        return f"sftp://{self.user}@127.0.0.1:{port or self.port}{self.root}{below}"

    def options(self, port: int | None = None, **more: object) -> dict[str, Any]:
        """That let a sink in; ``port`` is that of a proxy before it."""
        known = self.known_hosts
        if port is not None:
            text = known.read_text().replace(f":{self.port} ", f":{port} ")
            known = self.folder / f"known_hosts.{port}"
            known.write_text(text)
        return {"known_hosts": [str(known)], "key_file": [str(self.key)], **more}

    def start(self) -> None:
        """Start it, and wait until it greets."""
        words = [word.replace("PORT", str(self.port)) for word in self.command]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=os.environ | {"RCLONE_CONFIG": str(self.folder / "rclone.conf")},
            )
        wait_for("the server greets", self._greets)

    def _greets(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), 5) as line,
        ):
            return line.recv(4) == b"SSH-"
        return False

    def processes(self) -> list[psutil.Process]:
        """It, and what serves its connections."""
        if self.process is None:
            return []
        try:
            found = psutil.Process(self.process.pid)
            return [found, *found.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def stop(self) -> None:
        """Kill it with all its connections."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()
            self.process = None


def sshd_command(folder: Path, *lines: str, subsystem: str = "internal-sftp") -> list[str]:
    """How an sshd of a folder's own is started."""
    settings = folder / "sshd.conf"
    text = (
        f"HostKey {folder}/host-key",
        f"PidFile {folder}/pid",
        f"AuthorizedKeysFile {folder}/authorized_keys",
        f"Subsystem sftp {subsystem}",
        "ListenAddress 127.0.0.1",
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin prohibit-password",
        "LogLevel ERROR",
        *lines,
    )
    settings.write_text("\n".join(text) + "\n")
    return [str(SSHD), "-D", "-e", "-f", str(settings), "-p", "PORT"]


def rclone_command(folder: Path, served: Path, *words: str) -> list[str]:
    """How rclone serves a folder.

    It is to see soon what a test changes on the disk; with no cache at all, a deep folder takes it
    twice as long with each level.
    """
    return [
        rclone() or "rclone", "serve", "sftp", "--addr", "127.0.0.1:PORT", "--user", "somebody",
        "--key", f"{folder}/host-key", "--authorized-keys", f"{folder}/authorized_keys",
        "--dir-cache-time", "20ms", *words, str(served),
    ]  # fmt: skip


@contextlib.contextmanager
def serving(kind: str, *details: str, served: Path | None = None, **named: str) -> Iterator[Server]:
    """A server of its own for a test; ``kind``: ``sshd`` or ``rclone``."""
    parent = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="zw-ssh-", dir=parent if parent.is_dir() else None))
    try:
        make_key(folder / "host-key")
        shutil.copy(make_key(folder / "user-key").with_suffix(".pub"), folder / "authorized_keys")
        if served is None:
            served = folder / "served"
            served.mkdir()
        if kind == "sshd":
            if os.geteuid() == 0:
                Path("/run/sshd").mkdir(exist_ok=True)
            command = sshd_command(folder, *details, **named)
            server = Server(folder, served, getpass.getuser(), str(served), command)
        else:
            command = rclone_command(folder, served, *details)
            server = Server(folder, served, "somebody", "", command)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def agent_with(key: Path, path: Path) -> Iterator[None]:
    """An agent that has a key, listening at a path, which SSH_AUTH_SOCK names meanwhile."""
    words = ["ssh-agent", "-D", "-a", str(path)]
    agent = subprocess.Popen(words, stdout=subprocess.DEVNULL)

    def listens() -> bool:
        # The file is there before anybody listens.
        with socket.socket(socket.AF_UNIX) as line:
            return line.connect_ex(os.fspath(path)) == 0

    with pytest.MonkeyPatch.context() as patch:
        try:
            wait_for("the agent listens", listens)
            patch.setenv("SSH_AUTH_SOCK", str(path))
            run("ssh-add", "-q", str(key))
            yield
        finally:
            agent.terminate()
            agent.wait()


def run(*words: str | Path) -> str:
    """What a program of the system says; it must succeed."""
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def sha256(path: Path) -> str:
    """By another program than ours."""
    return run("sha256sum", path).split()[0]


def refused(sink: SftpSink) -> str:
    """What a check says."""
    with pytest.raises(SinkRefusedError) as caught:
        sink.check()
    return str(caught.value)


def below(folder: Path) -> list[str]:
    """What is in a folder, by its name."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def room(server: Server) -> Path:
    """A new folder below the served one."""
    return Path(tempfile.mkdtemp(prefix="room-", dir=server.served))
