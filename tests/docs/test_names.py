"""What the pages for developers name is there."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_every_test_that_is_named_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", (TESTS / "README.md").read_text()))
    files = [*TESTS.rglob("test_*.py"), *(TESTS.parent / "zfs_walk/sinks/conformance").glob("*.py")]
    there = {name for file in files for name in re.findall(r"def (test_\w+)", file.read_text())}
    assert len(named) > 80
    assert named - there == set()
