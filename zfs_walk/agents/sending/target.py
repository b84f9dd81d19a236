"""The sink of a run, as each of its workers opens it."""

import hashlib
import json
import logging
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from zfs_walk.agents.sending.notes import Notes
from zfs_walk.agents.sending.presence import sweep_after_the_dead
from zfs_walk.errors import WrongUseError
from zfs_walk.scan.handles import is_within, outside
from zfs_walk.sinks.choose import open_sink, sink_class
from zfs_walk.sinks.interface import Sink

LOG = logging.getLogger("zfs_walk.worker")


class SendingRefusedError(Exception):
    """This agent can't send for this run; ``reason`` says why."""

    def __init__(self, reason: str) -> None:
        # It becomes part of a sentence.
        self.reason = reason.rstrip(".")
        super().__init__(self.reason)


def check_allowed(url: str, allow: Sequence[bytes]) -> None:
    """See that an agent that may touch some folders only writes nowhere else either.

    Raises:
        SendingRefusedError: it would.
    """
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
