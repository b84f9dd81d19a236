"""What the markers of setup.cfg do."""

import os
import sys
from collections.abc import Iterator

import pytest

from tests.alone import among_others

BIG_PYTHON = os.environ.get("TESTS_BIG_PYTHON", "")
"""The Python whose turn it is with big tests (bin/test sets it); empty: any."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what the user who runs the tests can't run, and begin with what takes long."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
    is_root = os.geteuid() == 0
    running = f"3.{sys.version_info.minor}"
    for item in items:
        if item.get_closest_marker("root") and not is_root:
            item.add_marker(pytest.mark.skip(reason="needs root"))
        if item.get_closest_marker("plain_user") and is_root:
            item.add_marker(pytest.mark.skip(reason="needs a plain user"))
        if item.get_closest_marker("big") and BIG_PYTHON not in {"", running}:
            item.add_marker(pytest.mark.skip(reason="is big: done with one Python only"))


@pytest.fixture(autouse=True)
def _room(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Keep others out while a test runs that is marked as alone."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        yield
        return
    alone = request.node.get_closest_marker("alone") is not None
    with among_others(tmp_path_factory.getbasetemp().parent, alone=alone):
        yield


def pytest_report_to_serializable(report: object) -> None:
    """Let what a test printed or logged travel between processes, names that are no UTF-8 too."""
    if isinstance(report, pytest.TestReport | pytest.CollectReport):
        report.sections = [
            (title, text.encode(errors="backslashreplace").decode())
            for title, text in report.sections
        ]
