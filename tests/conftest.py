"""What the markers of setup.cfg do."""

import os
import sys
import zlib
from collections.abc import Iterator

import pytest

from tests.alone import among_others

PYTHONS = os.environ.get("TESTS_PYTHONS", "").split()
"""The Pythons that tests are dealt out to (bin/test sets it); none: this one does all of them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is not this Python's or this user's, and put the files into order."""
    _order(items)
    is_root = os.geteuid() == 0
    running = f"3.{sys.version_info.minor}"
    for item in items:
        if item.get_closest_marker("root") and not is_root:
            item.add_marker(pytest.mark.skip(reason="needs root"))
        if item.get_closest_marker("plain_user") and is_root:
            item.add_marker(pytest.mark.skip(reason="needs a plain user"))
        if PYTHONS and item.get_closest_marker("big"):
            if running != PYTHONS[0]:
                item.add_marker(pytest.mark.skip(reason="is big: done with one Python only"))
        elif PYTHONS and item.get_closest_marker("slow") and running != _dealt_to(item):
            item.add_marker(pytest.mark.skip(reason="is slow: another Python does it"))


def _order(items: list[pytest.Item]) -> None:
    """First the files that take long, so that others run beside them.

    Last those with tests that need the machine for themselves: all others wait for these. Between
    them those that wait and those that compute are mixed.
    """
    long, alone = (
        {item.path for item in items if item.get_closest_marker(marker)}
        for marker in ("long", "alone")
    )
    items.sort(key=lambda item: (item.path in alone, item.path not in long, _number_of(item)))


def _dealt_to(item: pytest.Item) -> str:
    """The Python that does a slow test: always the same, and another one for another file."""
    return PYTHONS[_number_of(item) % len(PYTHONS)]


def _number_of(item: pytest.Item) -> int:
    """That its file is shuffled and dealt by."""
    return zlib.crc32(item.path.relative_to(item.config.rootpath).as_posix().encode())


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
