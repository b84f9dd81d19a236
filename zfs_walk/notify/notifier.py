"""Where mirrors tell what becomes of their actions, and who brings it to the database."""

import sqlite3
from pathlib import Path
from threading import Event as Flag
from typing import Final

from zfs_walk.errors import StateError
from zfs_walk.notify.database import open_engine, parse
from zfs_walk.notify.outbox import Outbox
from zfs_walk.notify.writer import Teller, Writer
from zfs_walk.storage import make_private

OWN: Final = "file"
"""In place of a URL: a file in the uploader's state folder."""

FILE: Final = "notifications.db"
FOLDER: Final = "outbox"


class Notifier:
    """Makes outboxes, and then the one who empties them.

    Args:
        database: its URL, or `OWN`.
        state: the uploader's state folder.

    Raises:
        MissingExtraError: what the database needs is not installed.
        WrongUseError: it is no URL of a database that is supported.
    """

    def __init__(self, database: str, state: Path) -> None:
        if database == OWN:
            database = f"sqlite:///{state / FILE}"
            make_private(state / FILE)
        url = parse(database)
        self._engine = open_engine(url)
        self._wake = Flag()
        self._tellers: list[Teller] = []

    def outbox(self, id_: str, folder: Path) -> Outbox:
        """A mapping's outbox.

        Args:
            id_: of its journal.
            folder: the mapping's state folder.

        Raises:
            StateError: it can't be opened.
        """
        place = folder / FOLDER
        try:
            place.mkdir(mode=0o700, exist_ok=True)
            outbox = Outbox(place, self._wake)
        except OSError as error:
            raise StateError(path=place, reason=error.strerror) from error
        except sqlite3.DatabaseError as error:
            reason = f"{error}; move it away: what it had to tell is lost, and nothing else"
            raise StateError(path=place, reason=reason) from error
        self._tellers.append(Teller(id_, outbox))
        return outbox

    def writer(self) -> Writer:
        """Who empties all of them; not started."""
        return Writer(self._engine, self._tellers, self._wake)
