"""A load generator in a place of its own. The oracles are the file system and the process table."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.process.place import Ended, Place, Process, wait_for

MIB = 1 << 20
SMALL = {"file-size": "4M", "block": "256K"}


@dataclass
class Loading:
    """A load generator in a place of its own."""

    place: Place
    target: Path
    options: list[str] = field(default_factory=list)

    @property
    def report_file(self) -> Path:
        return self.place.folder / "report.json"

    def start(self, *loads: dict[str, Any], duration: float = 3.0, **options: object) -> Process:
        """Begin a run of these loads."""
        given = [{"target": str(self.target), "name": f"c{n}", **SMALL, **load}
                 for n, load in enumerate(loads, 1)]  # fmt: skip
        words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        return self.place.start(
            "agent", "--role", "loadgen", "--loads", json.dumps(given), "--duration", str(duration),
            "--report", self.report_file, "--seed", "test", *words, *self.options,
        )  # fmt: skip

    def run(self, *loads: dict[str, Any], duration: float = 2.0, **options: object) -> Ended:
        return self.place.end(self.start(*loads, duration=duration, **options))

    @property
    def report(self) -> Any:
        return json.loads(self.report_file.read_text())

    def consumer(self, name: str) -> Any:
        return next(each for each in self.report["consumers"] if each["name"] == name)

    def files(self, name: str) -> list[Path]:
        return sorted(self.target.glob(f"load-*/{name}/**/0*"))

    def at_work(self, name: str, files: int = 2) -> None:
        """Wait until a consumer that keeps its files has some."""
        wait_for(f"{name} is at work", lambda: len(self.files(name)) >= files)

    def pid(self, process: Process, name: str) -> int:
        """The process that writes below a consumer's folder, by the process table."""
        folder = str(self.files(name)[0].parent)
        found: list[int] = []

        def is_there() -> bool:
            # Between two files it has none open.
            found[:] = [
                child.pid
                for child in psutil.Process(process.pid).children(recursive=True)
                if any(each.path.startswith(folder) for each in child.open_files())
            ]
            return bool(found)

        wait_for(f"a process has a file of {name} open", is_there)
        return found[0]


def on_disk(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
