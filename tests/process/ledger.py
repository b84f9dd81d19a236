"""A journal, read with sqlite3 and not with our own code."""

import sqlite3
from pathlib import Path

import msgpack


class Ledger:
    """The newest run of a journal, which its broker may be writing."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self, query: str, *values: object) -> list[tuple[int, ...]]:
        """The rows of a query."""
        if not self.path.exists():
            return []
        db = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=10)
        try:
            return db.execute(query, values).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error) or "unable to open" in str(error):
                return []
            raise
        finally:
            db.close()

    def _one(self, query: str) -> int:
        rows = self.rows(query)
        return rows[0][0] or 0 if rows else 0

    @property
    def commits(self) -> int:
        """Commits applied so far."""
        return self._one("SELECT count(*) FROM ledger")

    @property
    def left(self) -> int:
        """Items that nobody has finished."""
        return self._one("SELECT count(*) FROM item")

    @property
    def state(self) -> str:
        """Of the newest run."""
        rows = self.rows("SELECT state FROM run ORDER BY run DESC LIMIT 1")
        return str(rows[0][0]) if rows else ""

    @property
    def leases(self) -> int:
        """Grants so far."""
        return self._one("SELECT count(*) FROM lease")

    @property
    def regranted(self) -> int:
        """Units that were granted more than once: taken back, handed back, or expired."""
        return self._one(
            "SELECT count(*) FROM (SELECT uid FROM lease GROUP BY uid HAVING count(*) > 1)"
        )

    def entries(self, counter: str = "entries") -> dict[int, int]:
        """Entries, or what another counter counts, of each session by its number."""
        shares: dict[int, int] = {}
        for session, counters in self.rows(
            "SELECT lease.session, ledger.counters FROM ledger JOIN lease USING (uid, epoch)"
        ):
            counted = msgpack.unpackb(counters).get(counter, 0)
            shares[session] = shares.get(session, 0) + counted
        return shares
