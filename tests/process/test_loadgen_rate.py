"""What a limit comes to over half a minute, and what a stall does to the figures.

The oracle of the limits is what is on the disk.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.process.loading import Loading
from tests.process.place import places, remove

pytestmark = [pytest.mark.slow, pytest.mark.big, pytest.mark.long]

SECONDS = 30
LOADS = (
    {"rate": 1000, "block": "4K", "file-size": "1M"},
    {"bandwidth": "4M", "block": {"4K": 3, "60K": 1}, "file-size": "1M"},
    {"rate": 500, "block": "4K", "file-size": "1M"},
)
STALLED = "c3"


@pytest.fixture(scope="module")
def loaded() -> Iterator[Loading]:
    """A run in which one of three consumers was stopped for two seconds."""
    parent = Path("/dev/shm")
    target = Path(tempfile.mkdtemp(prefix="zw-load-", dir=parent if parent.is_dir() else None))
    try:
        for place in places():
            loading = Loading(place, target)
            loads = [{**load, "keep": "all"} for load in LOADS]
            process = loading.start(*loads, duration=SECONDS)
            loading.at_work(STALLED, files=8)
            victim = psutil.Process(loading.pid(process, STALLED))
            victim.suspend()
            time.sleep(2)  # the stall that is to be seen
            victim.resume()
            ended = place.end(process)
            assert ended.code == 0, ended.err
            yield loading
    finally:
        remove(target)


def on_disk(loading: Loading, name: str) -> int:
    return sum(path.stat().st_size for path in loading.files(name))


@pytest.mark.parametrize(
    ("name", "wanted"), [("c1", 1000 * 4096), ("c2", 4 << 20), (STALLED, 500 * 4096)]
)
def test_a_limit_holds_over_half_a_minute(loaded: Loading, name: str, wanted: int) -> None:
    assert on_disk(loaded, name) == pytest.approx(SECONDS * wanted, rel=0.02)
    assert loaded.consumer(name)["written_bytes"] == on_disk(loaded, name)


def test_a_stall_is_in_the_response_and_not_in_the_operations(loaded: Loading) -> None:
    latencies = loaded.consumer(STALLED)["latency_ns"]
    # The 1,000 operations that it kept waiting are 7 % of all of them.
    assert latencies["response"]["p99.9"] >= 1e9
    assert latencies["write"]["p99.9"] < 1e8
    assert loaded.consumer(STALLED)["missed_heartbeats"] >= 1
