"""What a worker has of a run that sends: its sink, and threads that bring files there."""

import gc
import hashlib
import json
import logging
import os
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote_to_bytes, urlsplit

from zfs_walk import faults, names
from zfs_walk.agents.sending.courier import Courier, wait
from zfs_walk.agents.sending.notes import Notes
from zfs_walk.agents.sending.pieces import Account, Outcome, Piece, packed, pieces_of
from zfs_walk.agents.sending.place import SendingPlace
from zfs_walk.agents.sending.presence import Presence, sweep_after_the_dead
from zfs_walk.errors import WrongUseError, ZfsWalkError
from zfs_walk.scan.columns import Columns
from zfs_walk.scan.handles import is_within, outside
from zfs_walk.sinks.choose import open_sink, sink_class
from zfs_walk.sinks.errors import SinkError, StoppedError
from zfs_walk.sinks.interface import Report, Sink, Together

LOG = logging.getLogger("zfs_walk.worker")

_ROOT: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

HURRY_NOW: Final = 2
"""The level of haste at which what is in hand is given up (`zfs_walk.agents.walker.events`)."""

PRINTED: Final = 4096
"""Bytes of a dry run that are printed in one piece, which a pipe never mixes with others' (PIPE_BUF
of Linux)."""


class SendingRefusedError(Exception):
    """This agent can't send for this run; ``reason`` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Signs:
    """How the worker is seen to be at work, and learns that it is to stop. Any thread may use it.

    Args:
        hurry: one byte of memory shared with the agent.
        progress: is called with the directory, below the root, of the file that is being sent.
    """

    def __init__(self, hurry: memoryview, progress: Any) -> None:
        self._hurry = hurry
        self._progress = progress
        self._lock = threading.Lock()
        self._ended = False

    def begin(self) -> None:
        """A new task begins."""
        self._ended = False

    def end(self) -> None:
        """What is in hand is of no use any more."""
        self._ended = True

    def stopped(self) -> bool:
        """Whether everything is to end."""
        return self._ended or self._hurry[0] >= HURRY_NOW

    def report(self, piece: Piece) -> Report:
        """See `zfs_walk.agents.sending.courier.Watch`."""
        directory = piece.name.rpartition(b"/")[0]

        def report(_size: int) -> None:
            if self.stopped():
                raise StoppedError
            with self._lock:
                self._progress(directory)

        return report

    def pause(self, seconds: float) -> None:
        """See `zfs_walk.agents.sending.courier.Watch`."""
        wait(seconds, self.stopped)


class Sender:
    """Of one run.

    Args:
        url: of the sink.
        options: of it, as JSON.
        transfers: packs of files that are sent at once.
        dry_run: nothing is sent.
        root: path, and inode, of the folder whose files they are.
        place: of the agent.
        signs: of the worker.
        allow: real paths of the only folders that may be touched; empty: any.

    Raises:
        SendingRefusedError: nothing can be sent from here.
    """

    def __init__(  # noqa: PLR0913 -- what a run and an agent say
        self,
        url: str,
        options: str,
        *,
        transfers: int,
        dry_run: bool,
        root: tuple[bytes, int],
        place: SendingPlace,
        signs: Signs,
        allow: Sequence[bytes],
    ) -> None:
        if dry_run and not place.plan:
            reason = "a dry run is done by the command itself, not by agents"
            raise SendingRefusedError(reason)
        _check_allowed(url, allow)
        # Libraries of sinks leave cycles behind, which a scanner's columns do not.
        gc.enable()
        self._root, self._ino = root
        self._plan, self._dry_run = place.plan, dry_run
        self._allow = allow
        self._signs = signs
        self._stack = ExitStack()
        self._local = threading.local()
        self._lock = threading.Lock()
        try:
            self._open(url, options, place, transfers)
        except (ZfsWalkError, OSError) as error:
            self.close()
            text = str(error) if isinstance(error, ZfsWalkError) else f"{place.folder}: {error}"
            raise SendingRefusedError(text) from error

    def _open(self, url: str, options: str, place: SendingPlace, transfers: int) -> None:
        folder = folder_of(place.folder, url, options)
        if not self._dry_run:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._notes = Notes(folder)
        self._sink = open_own_sink(url, options, place.folder)
        self._stack.callback(self._sink.close)
        self._folder = folder
        self._presence: Presence | None = None
        if not self._dry_run:
            self._sink.check()
            self._sweep()
            self._presence = Presence(folder)
        self._threads = transfers
        together = self._sink.together if isinstance(self._sink, Together) else 1
        self._together = together
        self._pool = ThreadPoolExecutor(transfers, "transfer")
        self._stack.callback(self._pool.shutdown)

    def send(self, columns: Columns) -> Account | None:
        """Bring the regular files among some entries there.

        Returns:
            What became of them; None: the worker was called back before all were done, and nothing
            of the task counts.

        Raises:
            SendingRefusedError: nothing can be sent from here now.
        """
        account = Account()
        pieces = pieces_of(columns, self._root)
        if not pieces:
            return account
        self._signs.begin()
        try:
            with ExitStack() as stack:
                root = self._open_root()
                stack.callback(os.close, root)
                if self._presence is not None:
                    stack.enter_context(self._presence.sending())
                faults.point("send.begun")
                account.add(self._carry(root, pieces))
                faults.point("send.ended")
        except StoppedError:
            return None
        except ZfsWalkError as error:
            raise SendingRefusedError(str(error)) from error
        if account.planned:
            self._print(account.planned)
        return account

    def close(self) -> None:
        """Hold nothing open, and sweep what others have left, if all have gone."""
        self._signs.end()
        presence = getattr(self, "_presence", None)
        if presence is not None:
            self._pool.shutdown()
            presence.close()
            with suppress(OSError, SinkError):
                self._sweep()
        self._stack.close()

    # ------------------------------------------------------------------ a task

    def _carry(self, root: int, pieces: Sequence[Piece]) -> list[Outcome]:
        packs = packed(pieces, self._threads, self._together)
        waiting = [self._pool.submit(self._carry_pack, root, pack) for pack in packs]
        outcomes: list[Outcome] = []
        trouble: BaseException | None = None
        for each in waiting:
            error = each.exception()
            if error is None:
                outcomes += each.result()
            elif trouble is None or isinstance(trouble, StoppedError):
                # The cause, not what ended the others for it.
                trouble = error
        if trouble is not None:
            raise trouble
        return outcomes

    def _carry_pack(self, root: int, pack: Sequence[Piece]) -> list[Outcome]:
        try:
            return self._courier().carry(root, pack)
        except BaseException:
            self._signs.end()
            raise

    def _courier(self) -> Courier:
        """This thread's own."""
        courier: Courier | None = getattr(self._local, "courier", None)
        if courier is None:
            with self._lock:
                sink = self._sink.fork()
                self._stack.callback(sink.close)
            courier = Courier(sink, self._notes, self._signs, dry_run=self._dry_run)
            self._local.courier = courier
        return courier

    def _open_root(self) -> int:
        try:
            opened = os.open(self._root, _ROOT)
        except OSError as error:
            reason = f"{os.fsdecode(self._root)}: {error.strerror}"
            raise SendingRefusedError(reason) from error
        real = os.readlink(b"/proc/self/fd/%d" % opened) if self._allow else b""  # noqa: PTH115
        if os.fstat(opened).st_ino == self._ino and (not real or is_within(real, self._allow)):
            return opened
        os.close(opened)
        reason = f"{os.fsdecode(self._root)} is not the recorded root"
        raise SendingRefusedError(reason)

    # ------------------------------------------------------------------ around it

    def _sweep(self) -> None:
        """What dead workers have left at the sink goes, if nobody is sending there."""
        sweep(self._folder, self._sink)

    def _print(self, planned: Sequence[Outcome]) -> None:
        """Print what a dry run would send, line by line."""
        lines = b""
        for outcome in planned:
            line = self._line(outcome)
            if len(lines) + len(line) > PRINTED:
                _write(lines)
                lines = b""
            lines += line
        _write(lines)

    def _line(self, outcome: Outcome) -> bytes:
        there = self._sink.place(outcome.piece.name)
        if self._plan == "json":
            told = {**names.to_json(outcome.piece.path), "to": there, "size": outcome.size}
            return json.dumps(told).encode() + b"\n"
        shown = there if there.isprintable() else there.encode("unicode_escape", "replace").decode()
        return f"{outcome.size:>16,}  {shown}\n".encode()


def _write(text: bytes) -> None:
    try:
        while text:
            text = text[os.write(1, text) :]
    except OSError as error:
        reason = f"what would be sent can't be printed: {error.strerror}"
        raise SendingRefusedError(reason) from error


def _check_allowed(url: str, allow: Sequence[bytes]) -> None:
    """An agent that may touch some folders only writes nowhere else either."""
    if allow and urlsplit(url).scheme == "file":
        there = os.path.realpath(unquote_to_bytes(urlsplit(url).path))
        if not is_within(there, allow):
            raise SendingRefusedError(outside(there))


def folder_of(folder: Path, url: str, options: str) -> Path:
    """The folder for what is known of one place; who sends there makes it.

    The options belong to it: they say at which server a bucket is.
    """
    return folder / hashlib.sha256(f"{url}\n{options}".encode()).hexdigest()[:24]


def open_own_sink(url: str, options: str, folder: Path) -> Sink:
    """The sink of a run, for whoever sends with a state folder.

    Where a sink tells the unfinished files of one client from those of another by a name, it is
    given one: those of a mirror on this host are not ours to sweep.

    Raises:
        ZfsWalkError: there is no such sink.
    """
    given = read_options(options)
    fields = getattr(sink_class(url.partition("://")[0]).Options, "model_fields", {})
    if "client" in fields:
        given.setdefault("client", _client(folder))
    return open_sink(url, given)


def read_options(text: str) -> dict[str, Any]:
    """A sink's options from their JSON.

    Raises:
        WrongUseError: it is none.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        raise WrongUseError(reason="the options of a sink are no JSON") from error
    if not isinstance(found, dict):
        raise WrongUseError(reason="the options of a sink are a map")
    return found


def _client(folder: Path) -> str:
    """A name that no other state folder has."""
    whose = f"{socket.gethostname()}:{os.getuid()}:{folder}"
    return hashlib.sha256(whose.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def sweep(folder: Path, sink: Sink) -> None:
    """Take away what dead workers have left at a sink, if there are any and nobody is sending.

    Args:
        folder: as `folder_of` gives it.
        sink: it is asked only if there is something.

    Raises:
        SinkError: it can't be swept now; it will be by whoever asks next.
    """
    notes = Notes(folder)

    def sweep() -> None:
        notes.forget_old()
        count = sink.sweep(notes.values())
        if count:
            LOG.info("%d unfinished files that dead transfers have left were taken away", count)

    sweep_after_the_dead(folder, sweep)
