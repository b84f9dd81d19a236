"""Who listens to uploaders: ``zfs-ctl upload follow``."""

import json
import signal
from collections import defaultdict
from typing import Any

from tests.process.mirroring import Mirrored
from tests.process.place import Process, Site, Word, wait_for


class Follower:
    """A ``zfs-ctl upload follow --json`` that writes to a file."""

    def __init__(self, site: Site, *arguments: Word) -> None:
        self.place = site.place
        self.out = site.place.folder / f"follow-{len(site.place.started)}.jsonl"
        into = ("sh", "-c", f'exec "$@" >{self.out}', "sh")
        self.process: Process = site.place.start(
            "ctl", "upload", "follow", "--json", "--broker", site.endpoint, *arguments, prefix=into
        )

    def said(self, kind: str = "") -> list[Any]:
        """What its lines say so far."""
        text = self.out.read_text() if self.out.exists() else ""
        lines = text.splitlines() if text.endswith("\n") else text.splitlines()[:-1]
        found = [json.loads(line) for line in lines]
        return [each for each in found if kind in {"", each["kind"]}]

    def stages(self) -> dict[str, list[str]]:
        """Of each name, the stages of its actions, in their order."""
        found: dict[str, list[str]] = defaultdict(list)
        for each in self.said("action"):
            found[each["path"]].append(each["stage"])
        return found

    def has(self, stage: str) -> bool:
        """Whether an action has come to it."""
        return any(each["stage"] == stage for each in self.said("action"))

    def hears(self, mirrored: Mirrored, name: str) -> None:
        """Wait until something that happens now is heard: publishers have learned of it."""
        count = 0

        def happen() -> bool:
            nonlocal count
            count += 1
            (mirrored.data / f"{name} {count}").write_text(name)
            return any(path.startswith(name) for path in self.stages())

        wait_for(f"{name} is heard", happen)

    def end(self) -> None:
        self.process.send_signal(signal.SIGINT)
        assert self.place.end(self.process).code == 130
