"""Where programs log."""

from pathlib import Path

import pytest

from zfs_walk.cli.logs import log_path


@pytest.mark.parametrize(
    ("role", "name", "file"),
    [
        ("broker", "broker", "broker.jsonl"),
        ("walker", "walker-1", "walker-1.jsonl"),
        ("walker", "1", "walker+1.jsonl"),
        ("walker", "-1", "walker+-1.jsonl"),
        ("scout", "walker-1", "scout+walker-1.jsonl"),
    ],
)
def test_every_role_and_name_has_a_log_of_its_own(role: str, name: str, file: str) -> None:
    assert log_path(Path("/state"), role, name) == Path("/state/log") / file
