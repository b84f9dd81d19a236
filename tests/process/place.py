"""A private place for one test: its folder, its processes, and that nothing of them stays."""

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.process import mounts
from tests.process.ledger import Ledger

PATIENCE = 40.0
"""Seconds until a wait fails: some hundred times what it takes on an idle machine."""

KILLED = re.compile(r"worker \d+ ended: (SIGKILL|it takes no messages)")
"""What an agent says of a worker that was killed from outside; whoever is told something after its
death, and before that is known, "takes no messages"."""

OBEDIENT = (
    ("setpriv", "--bounding-set", "-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
)
"""Before a command: it may read what the permissions of files say, also when it is root's."""

MARK = "ZW_TEST_MARK"
Process = subprocess.Popen[str]
Word = str | Path | int
Env = Mapping[str, str]


def wait_for(what: str, condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Poll until a condition holds."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            message = f"waited {seconds:.0f} s in vain: {what}"
            raise AssertionError(message)
        time.sleep(0.01)


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def json(self) -> Any:
        """Its output as JSON."""
        assert self.out, f"exit code {self.code}: {self.err}"
        return json.loads(self.out)


class Place:
    """Starts our commands with state, sockets and output in one folder."""

    def __init__(self) -> None:
        parent = Path("/dev/shm")
        self.folder = Path(
            tempfile.mkdtemp(prefix="zw-test-", dir=parent if parent.is_dir() else None)
        )
        self.folder.chmod(0o755)
        self.sockets = self.folder / "run"
        self.sockets.mkdir(mode=0o700)
        self.state = self.folder / "state"
        self.state.mkdir(mode=0o700)
        # Connection files are looked for, and written, there: nothing of the user's is touched.
        self.home = self.folder / "home"
        self.home.mkdir(mode=0o700)
        self.mark = uuid.uuid4().hex
        self.env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("ZFS_WALK") and name != "DATABASE_URL"
        } | {
            "XDG_RUNTIME_DIR": str(self.sockets),
            "XDG_STATE_HOME": str(self.state),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "HOME": str(self.home),
            "PYTHONWARNINGS": "error",
            MARK: self.mark,
        }
        self.started: list[Process] = []

    # ------------------------------------------------------------------ commands

    def command(self, *arguments: Word) -> list[str]:
        """The words of one of our commands."""
        return [sys.executable, "-m", "zfs_walk", *map(str, arguments)]

    def start(
        self, *arguments: Word, prefix: Sequence[str] = (), env: Env | None = None
    ) -> Process:
        """Start one of our commands."""
        return self._start([*prefix, *self.command(*arguments)], env or {})

    def start_program(self, *words: str) -> Process:
        """Start a program of the system's."""
        return self._start(list(words), {})

    def start_python(
        self, code: str, *arguments: str, talk: bool = False, env: Env | None = None
    ) -> Process:
        """Start a program of the test's own; ``talk``: it will be told more on its stdin."""
        return self._start([sys.executable, "-c", code, *arguments], env or {}, talk=talk)

    def _start(self, words: list[str], env: Env, *, talk: bool = False) -> Process:
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE if talk else subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            errors="surrogateescape", cwd=self.folder, env={**self.env, **env},
            start_new_session=True,
        )  # fmt: skip
        self.started.append(process)
        return process

    def end(self, process: Process, seconds: float = 90.0) -> Ended:
        """Wait for a command's end."""
        begun = time.monotonic()
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            message = f"{process.args!r} did not end within {seconds} s\n{out}\n{err}"
            raise AssertionError(message) from None
        return Ended(process.returncode, out, err, time.monotonic() - begun)

    def run(
        self,
        *arguments: Word,
        prefix: Sequence[str] = (),
        seconds: float = 90.0,
        env: Env | None = None,
    ) -> Ended:
        """Run one of our commands to its end."""
        return self.end(self.start(*arguments, prefix=prefix, env=env), seconds)

    def walk(self, *arguments: Word, env: Env | None = None) -> Any:
        """Walk, with no trouble; returns the JSON."""
        ended = self.run("walk", "--json", "-q", *arguments, env=env)
        assert (ended.code, ended.err) == (0, "")
        return ended.json

    # ------------------------------------------------------------------ processes

    def alive(self) -> list[int]:
        """Every process that a command of this place started, directly or not, zombies not."""
        entries = (entry for entry in Path("/proc").iterdir() if entry.name.isdecimal())
        return sorted(int(entry.name) for entry in entries if self._is_ours(entry))

    def _is_ours(self, entry: Path) -> bool:
        try:
            return f"{MARK}={self.mark}".encode() in (entry / "environ").read_bytes()
        except OSError:
            return False

    def descendants(self, pid: int) -> list[int]:
        """The processes below one: of a command with workers, its zygote first."""
        found, waiting = [], [pid]
        while waiting:
            above = waiting.pop(0)
            below = [child for child in self.alive() if parent_of(child) == above]
            found += below
            waiting += below
        return found

    def workers(self, process: Process) -> list[int]:
        """The workers of a command: the children of its zygote."""
        return self.descendants(process.pid)[1:]

    # ------------------------------------------------------------------ the end

    def close(self) -> None:
        """End what was started, and check that nothing of it stays."""
        killed = [process for process in self.started if process.poll() is None]
        for process in killed:
            process.kill()
        for process in self.started:
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        try:
            self.nothing_left()
        finally:
            for pid in self.alive():
                os.kill(pid, signal.SIGKILL)
            for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
                if line.split()[1].startswith(f"{self.folder}/"):
                    mounts.unmount(Path(line.split()[1]))
            remove(self.folder)

    def nothing_left(self) -> None:
        """Check that no process and no folder of sockets stays when the commands have ended."""
        wait_for("all processes end", lambda: not self.alive(), 15.0)
        wait_for("folders of sockets go", lambda: not list(self.sockets.iterdir()), 5.0)

    def no_private_state(self) -> None:
        """Check that a private run has left no state."""
        assert list(self.state.glob("zfs_walk/runs/*")) == []


def remove(folder: Path) -> None:
    """Remove a tree, which may be deeper than Python's own functions go."""
    mounts.run("rm", "-rf", folder)


def parent_of(pid: int) -> int:
    """A process's parent; 0 if it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^PPid:\s*(\d+)", status, re.MULTILINE)
    return int(found[1]) if found else 0


class Brake:
    """Slows a walk down until it is released, so that it is not over before what it is to meet.

    Attributes:
        environment: of a command for which opening a directory takes 20 ms.
    """

    def __init__(self, file: Path, shim: Path) -> None:
        self._file = file
        file.touch()
        self.environment = {
            "LD_PRELOAD": str(shim), "SHIM_SLOW": "20000", "SHIM_WHILE": str(file),
        }  # fmt: skip

    def release(self) -> None:
        self._file.unlink()


class Site:
    """A broker and its agents at a place."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.state = place.folder / "broker"
        self.ledger = Ledger(self.state / "journal.db")
        self.endpoint = self.http = ""
        self.broker: Process | None = None
        self.agents: list[Process] = []

    def start_broker(
        self, *arguments: Word, prefix: Sequence[str] = (), env: Env | None = None
    ) -> Process:
        """Start the broker, at its old address if it had one; returns when it is ready."""
        bind = self.endpoint or "tcp://127.0.0.1:*"
        # The ports after an old one may be somebody else's by now.
        free = ("--publish", "tcp://127.0.0.1:*", "--subscribe", "tcp://127.0.0.1:*")
        words = ("--bind", bind, "--state", self.state, "--http", "none", *free, *arguments)
        return self._ready(self.place.start("broker", *words, prefix=prefix, env=env))

    def another_endpoint(self) -> str:
        """An endpoint at which nobody listens yet."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return f"tcp://127.0.0.1:{free.getsockname()[1]}"

    def move_broker(self, endpoint: str, *arguments: Word) -> None:
        """Kill the broker, which was started last, and start one on its state elsewhere."""
        assert self.broker is not None
        self.broker.kill()
        self.place.end(self.broker)
        self.endpoint = endpoint
        self.start_broker(*arguments)

    def start_broker_of_another_release(self, release: str) -> Process:
        """Start a broker that ``release``, some lines of Python, has made another one's."""
        code = f"{release}\nfrom zfs_walk.cli.broker import run\nrun()"
        words = ("--bind", "tcp://127.0.0.1:*", "--state", str(self.state), "--http", "none")
        return self._ready(self.place.start_python(code, *words))

    def _ready(self, process: Process) -> Process:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
        line = process.stdout.readline() if ready else ""
        found = re.search(r"ready at (\S+),", line)
        if found is None:
            ended = self.place.end(process, 10.0)
            raise AssertionError(line + ended.err)
        self.endpoint, self.broker = found[1], process
        served = re.search(r"HTTP at (\S+),", line)
        self.http = served[1] if served else ""
        return process

    def start_agent(
        self, *arguments: Word, prefix: Sequence[str] = (), env: Env | None = None
    ) -> Process:
        """Start an agent."""
        process = self.place.start(
            "agent", "--role", "walker", "--broker", self.endpoint, "--workers", 2, *arguments,
            prefix=prefix, env=env,
        )  # fmt: skip
        self.agents.append(process)
        return process

    def start_agents(self, number: int, *arguments: Word, env: Env | None = None) -> list[Process]:
        """Start agents and wait until the broker knows them."""
        there = len(self.names())
        started = [self.start_agent(*arguments, env=env) for _ in range(number)]
        wait_for("the agents come", lambda: len(self.names()) >= there + number)
        return started

    def start_scout(
        self,
        *folders: Path,
        options: Sequence[Word] = (),
        prefix: Sequence[str] = (),
        env: Env | None = None,
    ) -> Process:
        """Start a scout."""
        watched = [word for folder in folders for word in ("--watch", folder)]
        process = self.place.start(
            "agent", "--role", "scout", "--broker", self.endpoint, *watched, *options,
            prefix=prefix, env=env,
        )  # fmt: skip
        self.agents.append(process)
        return process

    def names(self) -> list[str]:
        """Agents that the broker knows."""
        rows = self.ledger.rows("SELECT name FROM session ORDER BY session")
        return [str(row[0]) for row in rows]

    def connection(self) -> Any:
        """The connection file that the broker made for whoever started it."""
        files = (self.place.home / ".config/zfs_walk/connections").glob("*.json")
        [found] = [
            content
            for content in (json.loads(file.read_text()) for file in files)
            if content["endpoint"] == self.endpoint
        ]
        return found

    def walk(self, *arguments: Word) -> Process:
        """Start a walk on this bus."""
        return self.place.start("walk", "--broker", self.endpoint, "--json", "-q", *arguments)

    def ctl(self, *arguments: Word) -> Any:
        """Operate the bus; returns the JSON."""
        ended = self.place.run("ctl", *arguments, "--json", "--broker", self.endpoint)
        assert (ended.code, ended.err) == (0, "")
        return ended.json

    def verify(self, run: int = 1) -> None:
        """Let the broker check its books."""
        assert "totals agree" in self.ctl("run", "verify", run)["detail"]

    def close(self) -> None:
        """Let the agents hand back what they have, if they still can."""
        for process in self.agents:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.agents:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(2.0)


def places() -> Iterator[Place]:
    """One place, closed at the end."""
    place = Place()
    try:
        yield place
    finally:
        place.close()
