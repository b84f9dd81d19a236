"""The folder of this host passes the suite, and what else it promises."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from zfs_walk.sinks.choose import open_sink
from zfs_walk.sinks.conformance import Content, SinkConformance
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


class TestLocal(SinkConformance):
    """The suite."""

    @pytest.fixture
    def content(self, target: Path) -> Content:
        def content(name: bytes) -> bytes | None:
            path = os.fsencode(target) + b"/" + name
            return Path(os.fsdecode(path)).read_bytes() if os.path.isfile(path) else None

        return content
