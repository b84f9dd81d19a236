"""A real PostgreSQL, started and stopped by the tests. What it has is asked by psql."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.ssh import free_port

PLACES = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
"""Where Debian has its programs, by their release."""

USER = "postgres"
"""Who it runs as where we are root, whom it refuses."""

needs_postgres = pytest.mark.skipif(not PLACES, reason="needs PostgreSQL")


class Postgres:
    """A cluster in a folder of its own.

    Attributes:
        url: of its one database, as its clients take it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"postgresql://zw@127.0.0.1:{self._port}/postgres"
        self._run("initdb", "-A", "trust", "-U", "zw", "-D", self._data, "--no-sync")

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def start(self) -> None:
        """Be there, when this returns."""
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -k {self._folder} -c fsync=off"
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", self._data, "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        """Be gone at once, whoever is connected."""
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")

    def rows(self, query: str) -> list[list[str]]:
        """What psql answers; nothing as long as there is no such table."""
        words = ["psql", "-X", "-A", "-t", "-F", "\t", "-d", self.url, "-c", query]
        ended = subprocess.run(words, check=False, capture_output=True, text=True)
        if "does not exist" in ended.stderr:
            return []
        ended.check_returncode()
        return [line.split("\t") for line in ended.stdout.splitlines()]

    def _run(self, program: str, *words: str) -> None:
        command = [str(PLACES[-1].with_name(program)), *words]
        if os.geteuid() == 0:
            command = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *command]
        subprocess.run(
            command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/"
        )


@contextlib.contextmanager
def serving() -> Iterator[Postgres]:
    """A cluster for a test; it runs."""
    parent = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="zw-pg-", dir=parent if parent.is_dir() else None))
    try:
        if os.geteuid() == 0:
            os.chown(folder, pwd.getpwnam(USER).pw_uid, -1)
        server = Postgres(folder)
        server.start()
        try:
            yield server
        finally:
            with contextlib.suppress(subprocess.CalledProcessError):  # a test has stopped it
                server.stop()
    finally:
        shutil.rmtree(folder)
