"""SFTP through paramiko: it tells what is wrong with a server, its key, or a login."""

import contextlib
import logging
import socket
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from zfs_walk.errors import MissingExtraError
from zfs_walk.sinks.errors import SinkRefusedError, UnreachableSinkError
from zfs_walk.sinks.sftp_hosts import Believed
from zfs_walk.sinks.sftp_login import Login, log_in
from zfs_walk.sinks.sftp_options import Address, SftpOptions
from zfs_walk.sinks.sftp_session import LostError, filled
from zfs_walk.sinks.sftp_wire import Bulk, Slice

if TYPE_CHECKING:
    import paramiko

CIPHERS: Final = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
"""Fastest first; with AES-GCM a packet needs no second pass for its checksum."""

DIGESTS: Final = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
"""Checksums, for ciphers that have none."""

KEEPALIVE: Final = 15
"""Seconds of silence after which the server is spoken to, so that nothing between forgets us."""

_WINDOW: Final = 8 << 20
"""Bytes that the server may send ahead, when files are read back."""

_RECEIVE: Final = 1 << 18

_LOG: Final = logging.getLogger("zfs_walk.sinks.sftp.transport")
# What concerns the user is in the errors; a program without logging is not to print this.
_LOG.addHandler(logging.NullHandler())


class Connection:
    """A `zfs_walk.sinks.sftp_session.Stream` through paramiko.

    Attributes:
        login: what the server has accepted.
    """

    def __init__(
        self,
        transport: "paramiko.Transport",
        channel: "paramiko.Channel",
        timeout: float,
        login: Login,
    ) -> None:
        self.login = login
        self._transport = transport
        self._channel = channel
        self._timeout = timeout
        channel.settimeout(timeout)
        # Longer pieces would be cut by paramiko, which copies the rest for each cut.
        self._piece = channel.out_max_packet_size - 64

    @property
    def key(self) -> Any:
        """The server's, which is believed."""
        return self._transport.get_remote_server_key()

    @property
    def alive(self) -> bool:
        """Whether nothing is known of its end."""
        return self._transport.is_active() and not self._channel.closed

    def send(self, data: bytes, bulk: Bulk = b"") -> None:
        """Have bytes under way, when the server takes them.

        Raises:
            LostError: the connection is no more.
            OSError: the file could not be read.
        """
        unread = None
        if isinstance(bulk, Slice):
            bulk, unread = filled(bulk)
        data += bulk
        with self._losing():
            for start in range(0, len(data), self._piece):
                piece = data[start : start + self._piece]
                while piece:
                    sent = self._channel.send(piece)
                    if not sent:
                        raise EOFError
                    piece = piece[sent:]
        if unread is not None:
            raise unread

    def receive(self) -> bytes:
        """At least one byte.

        Raises:
            LostError: none will come.
        """
        with self._losing():
            data: bytes = self._channel.recv(_RECEIVE)
            if not data:
                raise EOFError
            return data

    @contextlib.contextmanager
    def _losing(self) -> Iterator[None]:
        import paramiko  # noqa: PLC0415 -- an extra

        try:
            yield
        except TimeoutError as error:
            reason = f"no answer for {self._timeout:.0f} s"
            raise LostError(reason) from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            cause = self._transport.get_exception() or error
            raise LostError(_words(cause), corrupted=_is_corruption(cause)) from error

    def close(self) -> None:
        """End the connection."""
        self._transport.close()


def _words(error: BaseException) -> str:
    if _is_corruption(error):
        return "what came was altered on the way"
    if isinstance(error, EOFError) or str(error) == "Socket is closed":
        return "the connection was lost"
    return str(error) or type(error).__name__


def _is_corruption(error: BaseException) -> bool:
    # Of paramiko (a text) and of cryptography.
    return "Mismatched MAC" in str(error) or type(error).__name__ == "InvalidTag"


def connect(address: Address, options: SftpOptions) -> Connection:
    """Connect, see that the server is the right one, log in, ask for SFTP.

    Raises:
        UnreachableSinkError: nothing answers there.
        SinkRefusedError: it is not believed, or it does not let us in.
        MissingExtraError: paramiko is not installed.
    """
    try:
        import paramiko  # noqa: PLC0415 -- an extra
    except ImportError as error:
        raise MissingExtraError(feature="SFTP", package="paramiko", extra="sftp") from error
    place = address.text()
    believed = Believed(address, options)
    line = _line(address, options)
    transport = None
    try:
        transport = paramiko.Transport(line, default_window_size=_WINDOW)
        transport.set_log_channel(_LOG.name)
        transport.banner_timeout = options.connect_timeout
        transport.auth_timeout = options.connect_timeout
        _prefer(transport, options, believed)
        transport.start_client(timeout=options.connect_timeout)
        believed.check(transport.get_remote_server_key())
        login = log_in(transport, address, options)
        transport.set_keepalive(KEEPALIVE)
        channel = transport.open_session(timeout=options.connect_timeout)
        channel.settimeout(options.connect_timeout)
        channel.invoke_subsystem("sftp")
        return Connection(transport, channel, options.timeout, login)
    except BaseException as error:
        if transport is not None:
            transport.close()
        line.close()
        if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
            raise SinkRefusedError(place=place, reason=f"no common ground: {error}") from error
        if isinstance(error, paramiko.ChannelException):
            raise SinkRefusedError(place=place, reason=f"it offers no SFTP: {error}") from error
        if isinstance(error, OSError | EOFError | paramiko.SSHException):
            raise UnreachableSinkError(place=place, reason=_words(error)) from error
        raise


def _line(address: Address, options: SftpOptions) -> socket.socket:
    """A TCP connection that notices when the other side is gone."""
    try:
        line = socket.create_connection((address.host, address.port), options.connect_timeout)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UnreachableSinkError(place=address.text(), reason=reason) from error
    # Without this each small request waits until the one before was acknowledged.
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; elsewhere the timeouts of the channel remain
        milliseconds = int(options.timeout * 1000)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
    return line


def _among(known: Sequence[str], wanted: Sequence[str], option: str, place: str) -> tuple[str, ...]:
    """The names that paramiko knows, in their order: OpenSSH's client knows others."""
    found = tuple(name for name in wanted if name in known)
    if not found:
        reason = f"{option}: {' '.join(wanted)}: known are {' '.join(known)}"
        raise SinkRefusedError(place=place, reason=reason)
    return found


def _prefer(transport: "paramiko.Transport", options: SftpOptions, believed: "Believed") -> None:
    security = transport.get_security_options()
    place = believed.place
    ciphers = options.ciphers or CIPHERS
    security.ciphers = _among(security.ciphers, ciphers, "ciphers", place)
    if options.key_exchange:
        security.kex = _among(security.kex, options.key_exchange, "key_exchange", place)
    security.digests = DIGESTS
    # A server with several keys is to show the one that is known.
    known = [kind for kind in security.key_types if kind in believed.kinds]
    others = [kind for kind in security.key_types if kind not in believed.kinds]
    security.key_types = tuple(known + others)
