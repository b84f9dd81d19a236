"""Watchers of the field and ours behind one face, each at its best settings.

A watcher is started on a folder, says when it is ready, and how many files it has seen.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from pathlib import Path
from typing import IO, Any, Self

from measure import program

PATIENCE = 60.0


def until(condition: Any, seconds: float = PATIENCE, pause: float = 0.01) -> None:
    """Poll until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            message = f"waited {seconds} s in vain"
            raise SystemExit(message)
        time.sleep(pause)


def found(pattern: str, text: str) -> str:
    """What a line says."""
    match = re.search(pattern, text)
    if match is None:
        message = f"{text!r} does not say {pattern}"
        raise SystemExit(message)
    return match[1]


def end(process: "subprocess.Popen[Any]") -> None:
    """End a process of ours."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Watcher(ABC):
    """Sees files that are created below a folder."""

    name = ""

    def __init__(self, folder: Path) -> None:
        """Nothing runs yet."""
        self.folder = folder
        self._stack = contextlib.ExitStack()

    @abstractmethod
    def start(self) -> None:
        """Watch; return when everything that happens from now on is to be seen."""

    @abstractmethod
    def seen(self) -> int:
        """How many different files were seen so far."""

    @abstractmethod
    def has(self, name: str) -> bool:
        """This file was seen."""

    def close(self) -> None:
        """End what was started."""
        self._stack.close()

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.close()


class Lines(Watcher):
    """One that prints a line for each event."""

    def _run(self, command: list[str], **more: Any) -> "subprocess.Popen[bytes]":
        self._out: IO[bytes] = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 -- the stack does
        process = subprocess.Popen(command, stdout=self._out, **more)
        self._stack.callback(end, process)
        self._names: set[bytes] = set()
        self._at = 0
        self._rest = b""
        return process

    def _read(self) -> None:
        fresh = os.pread(self._out.fileno(), 1 << 30, self._at)
        self._at += len(fresh)
        *lines, self._rest = (self._rest + fresh).split(b"\n")
        self._names.update(lines)

    def seen(self) -> int:
        """Different lines."""
        self._read()
        return len(self._names)

    def has(self, name: str) -> bool:
        """A line is this file's path."""
        self._read()
        return os.fsencode(self.folder / name) in self._names


class Inotifywait(Lines):
    """inotifywait -mr of inotify-tools."""

    name = "inotifywait -mr"

    def start(self) -> None:
        """It says on stderr when its watches stand."""
        process = self._run(
            ["inotifywait", "-mr", "-e", "close_write", "--format", "%w%f", str(self.folder)],
            stderr=subprocess.PIPE,
        )
        stderr = process.stderr
        while stderr is not None and b"established" not in stderr.readline():
            pass


WATCHFILES = """
import sys, watchfiles
print('ready', flush=True)
for changes in watchfiles.watch(sys.argv[1], debounce=1, step=1, rust_timeout=1000,
                                yield_on_timeout=True, watch_filter=None):
    print(*(path for _, path in changes), sep='\\n', flush=True)
"""


class Watchfiles(Lines):
    """The watchfiles package, without its debouncing."""

    name = "watchfiles"

    def start(self) -> None:
        """Its watches stand after a while that it does not tell: a probe shows it."""
        self._run([sys.executable, "-c", WATCHFILES, str(self.folder)])
        until(lambda: self.seen() > 0)
        number = 0

        def probed() -> bool:
            nonlocal number
            number += 1
            (self.folder / f"probe{number}").touch()
            return any(b"probe" in each for each in self._names) or not self.seen()

        until(probed, pause=0.1)
        for probe in self.folder.glob("probe*"):
            probe.unlink()
        time.sleep(1.0)
        self._read()
        self._names.clear()


class Lsyncd(Watcher):
    """lsyncd, to a local folder with rsync; what it has seen is what is there."""

    name = "lsyncd"

    def start(self) -> None:
        """It has copied everything once it is idle."""
        self._target = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        state = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        config = state / "lsyncd.lua"
        config.write_text(
            f'settings {{ nodaemon = true, statusFile = "{state}/status", maxProcesses = 1 }}\n'
            f'sync {{ default.rsync, source = "{self.folder}", target = "{self._target}",'
            " delay = 0 }\n"
        )
        process = subprocess.Popen(
            ["lsyncd", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._stack.callback(end, process)
        count = len(list(self.folder.iterdir()))
        until(lambda: len(list(self._target.iterdir())) >= count)
        time.sleep(2.0)

    def seen(self) -> int:
        """Files in the copy."""
        return sum(len(names) for _, _, names in os.walk(self._target))

    def has(self, name: str) -> bool:
        """It is in the copy."""
        return (self._target / name).exists()


class Bus:
    """A broker with HTTP, and scouts.

    Attributes:
        env: of commands that shall find the broker's keys.
    """

    def __init__(self, *options: str) -> None:
        """Start the broker."""
        self._stack = contextlib.ExitStack()
        self._options = options
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="zwb-")))
        self.env = os.environ | {"XDG_CONFIG_HOME": str(self.folder)}
        self.start_broker("tcp://127.0.0.1:*", "127.0.0.1:0")

    def start_broker(self, endpoint: str, http: str) -> None:
        """Start the broker, perhaps where it was before."""
        self.broker = self._start(
            "zfs-broker", "--bind", endpoint, "--state", str(self.folder / "state"),
            "--http", http, *self._options,
        )  # fmt: skip
        self.endpoint = found(r"ready at (\S+),", self._said)
        self.url = found(r"HTTP at (\S+),", self._said)

    def _start(self, *words: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [*program(words[0]), *words[1:]],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=self.env, text=True,
        )  # fmt: skip
        self._stack.callback(end, process)
        self._said = process.stdout.readline() if process.stdout is not None else ""
        return process

    def scout(self, folder: Path, *more: str) -> "subprocess.Popen[str]":
        """Start a scout; whether it serves is to be seen in /claims."""
        process = subprocess.Popen(
            [
                *program("zfs-agent"), "--role", "scout", "--watch", str(folder),
                "--broker", self.endpoint, "--state", str(self.folder / "agents"), *more,
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self.env, text=True,
        )  # fmt: skip
        self._stack.callback(end, process)
        return process

    def get(self, path: str) -> Any:
        """JSON of the gateway."""
        with urllib.request.urlopen(self.url + path) as answer:
            return json.load(answer)

    def status(self) -> Any:
        """What `zfs-ctl status --json` says."""
        done = subprocess.run(
            [*program("zfs-ctl"), "status", "--json", "--broker", self.endpoint],
            stdout=subprocess.PIPE, check=True, env=self.env,
        )  # fmt: skip
        return json.loads(done.stdout)

    def served(self) -> int:
        """Files in all lists that are served; -1 while one is not."""
        try:
            claims = self.get("/claims")["claims"]
        except urllib.error.HTTPError:
            return -1  # the gateway does not know the lists yet
        if not claims or not all(claim["serving"] for claim in claims):
            return -1
        return sum(claim["files"] for claim in claims)

    def close(self) -> None:
        """End everything."""
        self._stack.close()


class Scout(Watcher):
    """Ours: a scout and its broker; what it has seen is what HTTP answers."""

    name = "zfs-agent --role scout"
    options: tuple[str, ...] = ()

    def start(self) -> None:
        """The first list is served."""
        self._bus = Bus()
        self._stack.callback(self._bus.close)
        self._bus.scout(self.folder, "--poll", "0", *self.options)
        until(lambda: self._bus.served() >= 0)

    def seen(self) -> int:
        """Files of the served list."""
        return self._bus.served()

    def has(self, name: str) -> bool:
        """The list has it."""
        found = self._bus.get(f"/files?prefix={name}&limit=1")["files"]
        return bool(found) and found[0]["filename"] == name
