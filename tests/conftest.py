"""What the markers of setup.cfg do."""

import os
import sys

import pytest

BIG_PYTHON = os.environ.get("TESTS_BIG_PYTHON", "")
"""The Python whose turn it is with big tests (bin/test sets it); empty: any."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what the user who runs the tests can't run."""
    is_root = os.geteuid() == 0
    running = f"3.{sys.version_info.minor}"
    for item in items:
        if item.get_closest_marker("root") and not is_root:
            item.add_marker(pytest.mark.skip(reason="needs root"))
        if item.get_closest_marker("plain_user") and is_root:
            item.add_marker(pytest.mark.skip(reason="needs a plain user"))
        if item.get_closest_marker("big") and BIG_PYTHON not in {"", running}:
            item.add_marker(pytest.mark.skip(reason="is big: done with one Python only"))
