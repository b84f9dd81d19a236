"""Which way a sink connects: by OpenSSH's client if that gets there, else by paramiko."""

import contextlib
import logging
import threading
from time import monotonic
from typing import TYPE_CHECKING, Final

from zfs_walk.sinks import sftp_openssh as openssh
from zfs_walk.sinks import sftp_paramiko
from zfs_walk.sinks.errors import SinkRefusedError, UnreachableSinkError
from zfs_walk.sinks.sftp_answers import GarbledError
from zfs_walk.sinks.sftp_hosts import Believed
from zfs_walk.sinks.sftp_openssh import Vouched
from zfs_walk.sinks.sftp_options import Address, SftpOptions
from zfs_walk.sinks.sftp_session import LostError, Session

if TYPE_CHECKING:
    from zfs_walk.sinks.sftp_child import Child

_OLD: Final = 10.0
"""Seconds after which what was dialed may have met with another state of things."""

_LOG: Final = logging.getLogger(__name__)


class Connector:
    """Makes the connections of a sink and its forks, one after the other.

    sshd refuses many that have not logged in yet (its MaxStartups).

    Args:
        address: of the server.
        options: how to log in.
    """

    def __init__(self, address: Address, options: SftpOptions) -> None:
        self._address = address
        self._options = options
        self._lock = threading.Lock()
        self._vouched: Vouched | None = None
        self._ssh: str | None = None
        if options.transport != "paramiko":
            self._ssh = openssh.program()
        self._alone = openssh.goes_alone(options)
        self._dialed: Child | None = None
        self._dialed_at = 0.0

    def dial(self) -> None:
        """Begin to connect, without waiting; what goes wrong is found by `connect`."""
        with self._lock, contextlib.suppress(OSError):
            if self._ssh is not None and self._alone and self._dialed is None:
                self._dialed = openssh.dial(self._ssh, self._address, self._options)
                self._dialed_at = monotonic()

    def hang_up(self) -> None:
        """Give up what was dialed, unless a session takes it now."""
        if self._lock.acquire(blocking=False):
            try:
                dialed, self._dialed = self._dialed, None
                if dialed is not None:
                    dialed.close()
            finally:
                self._lock.release()

    def connect(self) -> Session:
        """A new session.

        Raises:
            SinkError: there can be none.
        """
        with self._lock:
            try:
                return self._by_openssh() or self._by_paramiko()
            except (LostError, GarbledError) as error:
                raise UnreachableSinkError(place=self._address.text(), reason=error) from error

    def _by_openssh(self) -> Session | None:
        """A session with a server that ssh or paramiko knows; None: paramiko is to look again."""
        if self._ssh is None:
            return None
        vouched, self._vouched = self._vouched, None
        if vouched is None:
            return self._by_openssh_alone(self._ssh) if self._alone else None
        try:
            # It may have been revoked meanwhile.
            Believed(self._address, self._options).check(vouched.key)
            session = openssh.connect(self._ssh, vouched, self._address, self._options)
        except (SinkRefusedError, LostError, GarbledError, OSError):
            return None
        self._vouched = vouched
        return session

    def _by_openssh_alone(self, ssh: str) -> Session | None:
        """A session with a server that ssh itself knows, and that lets it in.

        Raises:
            LostError: nobody is there, so paramiko need not look.
        """
        dialed, self._dialed = self._dialed, None
        if dialed is not None and monotonic() - self._dialed_at > _OLD:
            dialed.close()
            dialed = None
        try:
            dialed = dialed or openssh.dial(ssh, self._address, self._options)
            return openssh.greeted(dialed, self._options)
        except LostError as error:
            if openssh.is_nobody(error):
                raise
        except (GarbledError, OSError):
            pass
        # It does not know the server, or is not let in: paramiko tells why, or has a way. Whoever
        # counts logins that failed is not to see two each time.
        self._alone = False
        return None

    def _by_paramiko(self) -> Session:
        """A session by paramiko, or the better one that it makes possible."""
        connection = sftp_paramiko.connect(self._address, self._options)
        with contextlib.ExitStack() as stack:
            stack.callback(connection.close)
            session = Session(connection)
            better = self._better(Vouched(connection.key, connection.login))
            if better is not None:
                return better
            stack.pop_all()
            return session

    def _better(self, vouched: Vouched) -> Session | None:
        """A session by OpenSSH's client; None: it can't be had.

        Raises:
            SinkError: it must be.
        """
        place, needed = self._address.text(), self._options.transport == "openssh"
        if self._ssh is None or not vouched.login.shared:
            if needed:
                reason = "transport: openssh needs `ssh` in the PATH, and a key without a password"
                raise SinkRefusedError(place=place, reason=reason)
            return None
        try:
            session = openssh.connect(self._ssh, vouched, self._address, self._options)
        except (LostError, GarbledError, OSError) as error:
            if needed:
                raise UnreachableSinkError(place=place, reason=f"by ssh: {error}") from error
            _LOG.info("%s: by paramiko, as ssh does not get there: %s", place, error)
            self._ssh = None
            return None
        self._vouched = vouched
        return session
