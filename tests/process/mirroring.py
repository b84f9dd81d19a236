"""A folder that an uploader mirrors to another one. The oracle is find and diff."""

import json
import signal
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.process import trees
from tests.process.place import Place, Process, Word, wait_for


class Mirrored:
    """A folder, the one that it is mirrored to, and the uploader's file.

    Attributes:
        data: the folder.
        copy: its other side.
        file: of --config.
        state: the uploader's.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.data = grow(place.folder / "data")
        self.copy = place.folder / "copy"
        self.copy.mkdir()
        self.file = place.folder / "uploader.yaml"
        self.state = place.folder / "uploader-state"
        self.configure()

    def configure(self, options: Mapping[str, Any] | None = None, /, **keys: Any) -> None:
        """Write the file, with options of the command and keys of the mapping."""
        mapping = {"name": "one", "local": str(self.data), "to": f"file://{self.copy}", **keys}
        content = {"role": "uploader", "state": str(self.state), "mappings": [mapping]}
        self.file.write_text(json.dumps(content | dict(options or {})))

    def start(self, *arguments: Word, prefix: tuple[str, ...] = ()) -> Process:
        return self.place.start("agent", "--config", self.file, *arguments, prefix=prefix)

    def run(self, *arguments: Word) -> tuple[int, str]:
        """How it ends by itself, and what it says on stderr."""
        ended = self.place.run("agent", "--config", self.file, *arguments)
        return ended.code, ended.err

    def end(self, process: Process) -> None:
        """End it in order."""
        process.send_signal(signal.SIGTERM)
        ended = self.place.end(process)
        assert ended.code == 0, ended.err

    @property
    def equal(self) -> bool:
        """Both sides have the same files with the same contents, times and permissions."""
        return listed(self.data) == listed(self.copy) and same(self.data, self.copy)

    @property
    def lacks(self) -> list[str]:
        """Names that the other side does not have."""
        here, there = (
            {line.split(b"\t")[0].decode() for line in listed(folder)}
            for folder in (self.data, self.copy)
        )
        return sorted(here - there)

    def becomes_equal(self, why: str) -> None:
        try:
            wait_for(f"both sides are equal: {why}", lambda: self.equal)
        except AssertionError as error:
            other = set(listed(self.data)) ^ set(listed(self.copy))
            error.add_note(f"they differ in {sorted(other)[:20]}")
            raise

    def has_more_than(self, files: int) -> None:
        wait_for("something is there", lambda: len(listed(self.copy)) > files)

    def actions(self, mapping: str = "one") -> dict[str, tuple[str, str]]:
        """The queue as its file has it: name -> (kind, state)."""
        file = self.state / "mirrors" / mapping / "journal.db"
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
            rows = db.execute("SELECT path, kind, state FROM action").fetchall()
        return {path.decode(): (kind, state) for path, kind, state in rows}

    def says(self, text: str) -> bool:
        """The uploader's log has this."""
        return any(text in log.read_text() for log in self.state.glob("log/*.jsonl"))


def grow(folder: Path) -> Path:
    """A tree of 13 folders with three files each, all of them different."""
    trees.bushy(folder, width=3, depth=2, files=3)
    for number, path in enumerate(sorted(folder.rglob("f*"))):
        path.write_text(f"{folder} {number}\n" * number)
    return folder


def listed(folder: Path) -> list[bytes]:
    """Names, sizes, times and permissions; empty folders count for nothing."""
    form = r"%P\t%s\t%T@\t%m\0"
    words: list[str | Path] = [
        "find",
        folder,
        "-ignore_readdir_race",
        "-type",
        "f",
        "-printf",
        form,
    ]
    return sorted(subprocess.run(words, capture_output=True, check=True).stdout.split(b"\0"))


def same(one: Path, other: Path) -> bool:
    """Their files have the same contents, as far as both have them."""
    words: list[str | Path] = ["diff", "-rq", one, other]
    said = subprocess.run(words, capture_output=True, check=False).stdout
    return all(line.startswith(b"Only in") for line in said.splitlines())


def mirroring(place: Place) -> Iterator[Mirrored]:
    """A folder to be mirrored, at a place; whatever uploaders still run end."""
    made = Mirrored(place)
    yield made
    for process in place.started:
        if process.poll() is None:
            process.terminate()
