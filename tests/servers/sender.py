"""A process that sends one file and may be killed meanwhile; its notes are in a file.

Usage: sender.py URL OPTIONS-AS-JSON FOLDER NAME NOTES
"""

import json
import os
import sys
from pathlib import Path


class Notes:
    """A `Memory` in a file, which survives whoever has written it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> dict[str, str]:
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        return dict(json.loads(line) for line in lines)

    def store(self, key: str, value: str) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps([key, value]) + "\n")
            file.flush()
            os.fsync(file.fileno())

    @property
    def known(self) -> frozenset[str]:
        """As `Sink.sweep` takes it."""
        return frozenset(self.load().values())


def main() -> None:
    from zfs_walk.sinks.choose import open_sink
    from zfs_walk.sinks.source import Source

    url, options, folder, name, notes = sys.argv[1:]
    sink = open_sink(url, json.loads(options))
    source = Source(os.open(folder, os.O_RDONLY), os.fsencode(name))
    sink.send(source, source.name, Notes(Path(notes)), lambda _: None)
    sink.close()


if __name__ == "__main__":
    main()
