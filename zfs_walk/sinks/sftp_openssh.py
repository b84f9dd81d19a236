"""SFTP through OpenSSH's own client, which needs a fraction of paramiko's time, and another CPU.

It is a child process that is spoken to by its standard input and output. It knows the server by
known_hosts and logs in as it does everywhere, or is used with a host key and a login that paramiko
has seen to be right: whatever goes wrong with it, paramiko tells why.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from zfs_walk.sinks.sftp_child import Child
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


_NOBODY: Final = ("ssh: connect to host", "ssh: could not resolve")
"""What it says when there is no server to be spoken to."""

_PLAIN: Final = re.compile(r"[\w@+=:,./-]+")
"""What is a path and nothing else in its settings."""


def is_nobody(error: LostError) -> bool:
    """Whether there is no server."""
    return any(words in str(error).lower() for words in _NOBODY)


def goes_alone(options: SftpOptions) -> bool:
    """Whether it can be told what to believe, and has what it takes to log in."""
    secret = options.password_file or options.password_env
    if secret or options.fingerprint or not options.known_hosts:
        return False
    files = _expanded([*options.known_hosts, *options.key_file])
    return all(_PLAIN.fullmatch(str(path)) for path in files)


def dial(ssh: str, address: Address, options: SftpOptions) -> Child:
    """Begin to connect to a server that known_hosts knows.

    It logs in by keys that are not encrypted, or the agent's.

    Args:
        ssh: the program.
        address: of the server.
        options: of the sink, for which `goes_alone`.

    Raises:
        OSError: it can't be started.
    """
    settings = {"UserKnownHostsFile": " ".join(map(str, _expanded(options.known_hosts)))}
    if options.key_file:
        settings |= {"IdentitiesOnly": "yes", "IdentityAgent": "none"}
    elif not options.agent:
        settings |= {"IdentityAgent": "none"}
    words = _command(ssh, settings, _expanded(options.key_file), address, options)
    return _child(words, options)


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
        settings = {
            "HostKeyAlgorithms": ",".join(signatures(vouched.key.get_name())),
            "HostKeyAlias": _ALIAS,
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": known,
        }
        if vouched.login.agent is None:
            settings["IdentityAgent"] = "none"
        keys = [vouched.login.file or Path(public)]
        child = _child(_command(ssh, settings, keys, address, options), options)
        return greeted(child, options)


def greeted(child: Child, options: SftpOptions) -> Session:
    """The session that a child has begun; it is ended if there is none.

    Raises:
        LostError: it did not get as far as the greeting; it says what ssh said.
        GarbledError: what greets is no SFTP server.
    """
    try:
        session = Session(child)
        child.greeted(options.timeout)
    except BaseException:
        child.close()
        raise
    return session


def _child(words: list[str], options: SftpOptions) -> Child:
    # The line, and the login.
    return Child(words, 2 * options.connect_timeout)


def _expanded(paths: Iterable[Path]) -> list[Path]:
    return [path.expanduser().absolute() for path in paths]


@contextlib.contextmanager
def _unnamed(line: str) -> Iterator[str]:
    """A file in memory, by a path that a child can open; no kill leaves it anywhere."""
    with open(os.memfd_create("zfs-walk-ssh"), "w", encoding="ascii") as file:  # noqa: PTH123 -- no path
        os.fchmod(file.fileno(), 0o600)  # ssh takes no key that others could read
        file.write(f"{line}\n")
        file.flush()
        yield f"/proc/{os.getpid()}/fd/{file.fileno()}"


def _command(
    ssh: str,
    settings: Mapping[str, str],
    keys: Iterable[Path],
    address: Address,
    options: SftpOptions,
) -> list[str]:
    """What is run.

    Args:
        ssh: the program.
        settings: what to believe, and who may log in.
        keys: that it logs in with; none: the usual ones.
        address: of the server.
        options: of the sink.
    """
    common = {
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
        "IPQoS": "none",
        # With less it does not tell that what came was altered.
        "LogLevel": "INFO",
        "PermitLocalCommand": "no",
        "PreferredAuthentications": "publickey",
        "ServerAliveInterval": str(KEEPALIVE),
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
    }
    if options.key_exchange:
        common["KexAlgorithms"] = ",".join(options.key_exchange)
    words = [ssh, "-F", "none"]
    for path in keys:
        words += ["-i", str(path).replace("%", "%%")]
    for name, value in {**common, **settings}.items():
        words += ["-o", f"{name}={value}"]
    return [*words, "-p", str(address.port), "-l", address.user, "-s", "--", address.host, "sftp"]
