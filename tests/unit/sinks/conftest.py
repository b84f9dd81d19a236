"""A folder to send from, and one to send to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from zfs_walk.sinks.choose import open_sink
from zfs_walk.sinks.conformance.place import Origin
from zfs_walk.sinks.interface import Sink


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


@pytest.fixture
def sink(target: Path) -> Iterator[Sink]:
    opened = open_sink(f"file://{target}", {})
    yield opened
    opened.close()


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[Origin]:
    folder = tmp_path / "origin"
    folder.mkdir()
    made = Origin(folder)
    yield made
    made.close()
