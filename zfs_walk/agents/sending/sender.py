"""What a worker has of a run that sends: its sink, and threads that bring files there."""

import gc
import json
import logging
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any, Final

from zfs_walk import faults, names
from zfs_walk.agents.sending.courier import Courier, wait
from zfs_walk.agents.sending.notes import Notes
from zfs_walk.agents.sending.pieces import Account, Outcome, Piece, packed, pieces_of
from zfs_walk.agents.sending.place import SendingPlace
from zfs_walk.agents.sending.presence import Presence
from zfs_walk.agents.sending.target import (
    SendingRefusedError,
    check_allowed,
    folder_of,
    open_own_sink,
    sweep,
)
from zfs_walk.agents.sending.there import There, worth_listing
from zfs_walk.errors import ZfsWalkError
from zfs_walk.scan.columns import Columns
from zfs_walk.scan.handles import is_within
from zfs_walk.sinks.errors import SinkError, StoppedError
from zfs_walk.sinks.interface import Remote, Report, Together

LOG = logging.getLogger("zfs_walk.worker")

_ROOT: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

HURRY_NOW: Final = 2
"""The level of haste at which what is in hand is given up (`zfs_walk.agents.walker.events`)."""

PRINTED: Final = 4096
"""Bytes of a dry run that are printed in one piece, which a pipe never mixes with others' (PIPE_BUF
of Linux)."""


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
        check_allowed(url, allow)
        # Libraries of sinks leave cycles behind, which a scanner's columns do not.
        gc.enable()
        self._root, self._ino = root
        self._plan, self._dry_run = place.plan, dry_run
        self._allow = allow
        self._signs = signs
        self._stack = ExitStack()
        self._local = threading.local()
        self._lock = threading.Lock()
        self._unlisted: set[bytes] = set()
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
        there = self._list_folders(pieces)
        packs = packed(pieces, self._threads, self._together)
        waiting = [self._pool.submit(self._carry_pack, root, pack, there) for pack in packs]
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

    def _list_folders(self, pieces: Sequence[Piece]) -> There:
        """What is there already, of folders that have many of the files in hand."""
        wanted = {
            folder: most
            for folder, most in worth_listing(pieces).items()
            if folder not in self._unlisted
        }
        listing = {
            folder: self._pool.submit(self._list_folder, folder, most)
            for folder, most in wanted.items()
        }
        there = {folder: each.result() for folder, each in listing.items()}
        if unlisted := {folder for folder, found in there.items() if found is None}:
            # Other parts of the same folder are likely to follow.
            self._unlisted = unlisted
        return {folder: found for folder, found in there.items() if found is not None}

    def _list_folder(self, folder: bytes, most: int) -> dict[bytes, Remote] | None:
        return self._courier().listed(folder, most)

    def _carry_pack(self, root: int, pack: Sequence[Piece], there: There) -> list[Outcome]:
        try:
            return self._courier().carry(root, pack, there)
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
