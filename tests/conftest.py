"""What the markers of setup.cfg do."""

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what the user who runs the tests can't run."""
    is_root = os.geteuid() == 0
    for item in items:
        if item.get_closest_marker("root") and not is_root:
            item.add_marker(pytest.mark.skip(reason="needs root"))
        if item.get_closest_marker("plain_user") and is_root:
            item.add_marker(pytest.mark.skip(reason="needs a plain user"))
