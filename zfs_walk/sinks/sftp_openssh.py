"""SFTP through OpenSSH's own client, which needs a fraction of paramiko's time, and another CPU.

It is a child process that is spoken to by its standard input and output. It is used with a host key
and a login that paramiko has seen to be right: whatever goes wrong with it, paramiko tells why.
"""

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from math import ceil
from typing import TYPE_CHECKING, Final, NamedTuple

from zfs_walk.sinks.sftp_hosts import signatures
from zfs_walk.sinks.sftp_login import Login
from zfs_walk.sinks.sftp_options import Address, SftpOptions
from zfs_walk.sinks.sftp_paramiko import CIPHERS, DIGESTS, KEEPALIVE
from zfs_walk.sinks.sftp_session import LostError, Session

if TYPE_CHECKING:
    import paramiko

_MORE_CIPHERS: Final = ("chacha20-poly1305@openssh.com",)
_ALIAS: Final = "zfs-walk"
"""What the server is called in the file with its key, whatever its address."""

_BUFFER: Final = 1 << 20
"""Bytes that wait in the kernel each way, so that neither side waits for the other's turn."""

_RECEIVE: Final = 1 << 18
_ENDING: Final = 1.0
"""Seconds in which ssh ends after its input has ended; it is killed then."""

_KEPT: Final = 4096
"""Bytes of what it said last, and..."""

_LINES: Final = 3
"""...lines of it that are told: enough for the reason, even if a server greets with a banner."""

_ALTERED: Final = ("corrupted mac", "message authentication code incorrect")


class Vouched(NamedTuple):
    """What paramiko has seen to be right.

    Attributes:
        key: the server's.
        login: what the server has accepted.
    """

    key: "paramiko.PKey"
    login: Login


def program() -> str | None:
    """Where OpenSSH's client is; None: it is not in the path, or can't be told what to believe."""
    return shutil.which("ssh") if hasattr(os, "memfd_create") else None


class Child:
    """A `zfs_walk.sinks.sftp_session.Stream` through a process of OpenSSH's client.

    It ends when we do, even by SIGKILL: its input ends then.

    Args:
        words: its command.
        timeout: seconds without an answer, after which the connection counts as lost.
    """

    def __init__(self, words: list[str], timeout: float) -> None:
        self._said = b""
        self._line, theirs = socket.socketpair()
        self._errors, says = socket.socketpair()
        try:
            for end in (self._line, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            # A Ctrl-C in our terminal is not meant for it.
            self._process = subprocess.Popen(
                words,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=says.fileno(),
                start_new_session=True,
            )
        except BaseException:
            self._line.close()
            self._errors.close()
            raise
        finally:
            theirs.close()
            says.close()
        self._errors.settimeout(0)
        self._wait_for(timeout)

    def greeted(self, timeout: float) -> None:
        """It is connected: from now on an answer may take so long; it says things anew."""
        self._listen()
        self._said = b""
        self._wait_for(timeout)

    def _wait_for(self, timeout: float) -> None:
        self._timeout = timeout
        self._line.settimeout(timeout)

    @property
    def alive(self) -> bool:
        """Whether nothing is known of its end."""
        # What it says is taken away now and then, so that it never waits to say more.
        self._listen()
        return self._process.poll() is None

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while more := self._errors.recv(_KEPT):
                self._said = (self._said + more)[-_KEPT:]

    def send(self, data: bytes) -> None:
        """Have bytes under way, when it takes them.

        Raises:
            LostError: the connection is no more.
        """
        try:
            sent = self._line.send(data)
            if sent < len(data):
                rest = memoryview(data)[sent:]
                while rest:
                    rest = rest[self._line.send(rest) :]
        except OSError as error:
            raise self._lost(error) from error

    def receive(self) -> bytes:
        """At least one byte.

        Raises:
            LostError: none will come.
        """
        try:
            data = self._line.recv(_RECEIVE)
        except OSError as error:
            raise self._lost(error) from error
        if not data:
            raise self._lost(None)
        return data

    def _lost(self, error: OSError | None) -> LostError:
        if isinstance(error, TimeoutError):
            return LostError(f"no answer for {self._timeout:.0f} s")
        # It ends by itself now, and says why before.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING)
        self._listen()
        said = "; ".join(self._said.decode("utf-8", "replace").strip().splitlines()[-_LINES:])
        if any(words in said.lower() for words in _ALTERED):
            return LostError("what came was altered on the way", corrupted=True)
        return LostError(f"the connection was lost: {said}" if said else "the connection was lost")

    def close(self) -> None:
        """End it."""
        self._line.close()
        try:
            self._process.wait(_ENDING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()


def connect(ssh: str, vouched: Vouched, address: Address, options: SftpOptions) -> Session:
    """Connect, believing nothing but what is vouched for.

    Args:
        ssh: the program.
        vouched: by paramiko.
        address: of the server.
        options: of the sink.

    Raises:
        LostError: it did not get as far as the greeting; it says what ssh said.
        GarbledError: what greets is no SFTP server.
        OSError: it can't be started.
    """
    # They are read before the greeting only: ssh compares later keys with the first one.
    host = f"{_ALIAS} {vouched.key.get_name()} {vouched.key.get_base64()}"
    with _unnamed(host) as known, _unnamed(vouched.login.agent or "") as public:
        words = _command(ssh, vouched, address, options, (known, public))
        # The line, and the login.
        child = Child(words, 2 * options.connect_timeout)
        try:
            session = Session(child)
            child.greeted(options.timeout)
        except BaseException:
            child.close()
            raise
        return session


@contextlib.contextmanager
def _unnamed(line: str) -> Iterator[str]:
    """A file in memory, by a path that a child can open; no kill leaves it anywhere."""
    with open(os.memfd_create("zfs-walk-ssh"), "w", encoding="ascii") as file:  # noqa: PTH123 -- no path
        os.fchmod(file.fileno(), 0o600)  # ssh takes no key that others could read
        file.write(f"{line}\n")
        file.flush()
        yield f"/proc/{os.getpid()}/fd/{file.fileno()}"


def _command(
    ssh: str, vouched: Vouched, address: Address, options: SftpOptions, files: tuple[str, str]
) -> list[str]:
    """What is run.

    Args:
        ssh: the program.
        vouched: by paramiko.
        address: of the server.
        options: of the sink.
        files: with the server's key, and with the public key of the agent's.
    """
    known, public = files
    settings = {
        "BatchMode": "yes",
        "Ciphers": ",".join(options.ciphers or (*CIPHERS, *_MORE_CIPHERS)),
        "MACs": ",".join(DIGESTS),
        "ClearAllForwardings": "yes",
        "Compression": "no",
        "ConnectTimeout": str(ceil(options.connect_timeout)),
        "ControlPath": "none",
        "ForwardAgent": "no",
        "ForwardX11": "no",
        "GlobalKnownHostsFile": "/dev/null",
        "HostKeyAlgorithms": ",".join(signatures(vouched.key.get_name())),
        "HostKeyAlias": _ALIAS,
        "IdentitiesOnly": "yes",
        "IPQoS": "none",
        # With less it does not tell that what came was altered.
        "LogLevel": "INFO",
        "PermitLocalCommand": "no",
        "PreferredAuthentications": "publickey",
        "ServerAliveInterval": str(KEEPALIVE),
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "UserKnownHostsFile": known,
    }
    if vouched.login.agent is None:
        settings["IdentityAgent"] = "none"
    words = [ssh, "-F", "none", "-i", str(vouched.login.file or public)]
    for name, value in settings.items():
        words += ["-o", f"{name}={value}"]
    return [*words, "-p", str(address.port), "-l", address.user, "-s", "--", address.host, "sftp"]
