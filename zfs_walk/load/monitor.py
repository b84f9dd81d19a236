"""What the consumers and the host are doing meanwhile, as psutil has it."""

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from zfs_walk.load.monitor_sample import DeviceSample, ProcessSample, Sample


class Monitor:
    """Looks at processes and devices.

    Args:
        processes: names by process id.
        folders: whose devices are looked at; one may be missing.
    """

    def __init__(self, processes: Mapping[int, str], folders: Iterable[str]) -> None:
        self._processes: dict[str, psutil.Process | None] = {}
        for pid, name in processes.items():
            self._processes[name] = None
            with suppress(psutil.Error):
                self._processes[name] = psutil.Process(pid)
        self._devices = sorted({name for each in folders if (name := device_of(each))})
        self._last = (time.monotonic(), _counters())
        psutil.cpu_percent()
        for process in self._processes.values():
            if process is not None:
                _sample("", process)

    def look(self) -> Sample:
        """Take a sample."""
        now, counters = time.monotonic(), _counters()
        devices = tuple(self._device(name, now, counters) for name in self._devices)
        self._last = (now, counters)
        processes = tuple(
            _sample(name, process) if process else ProcessSample(name)
            for name, process in self._processes.items()
        )
        memory = psutil.virtual_memory().percent
        return Sample(now, psutil.cpu_percent(), memory, processes, devices)

    def _device(self, name: str, now: float, counters: Mapping[str, Any]) -> DeviceSample:
        before, seconds = self._last[1].get(name), max(1e-9, now - self._last[0])
        new = counters.get(name)
        if before is None or new is None:
            return DeviceSample(name, 0, 0, 0.0)
        busy = getattr(new, "busy_time", 0) - getattr(before, "busy_time", 0)
        return DeviceSample(
            name, round((new.read_bytes - before.read_bytes) / seconds),
            round((new.write_bytes - before.write_bytes) / seconds),
            min(100.0, busy / 10 / seconds),
        )  # fmt: skip


def _counters() -> Mapping[str, Any]:
    return psutil.disk_io_counters(perdisk=True) or {}


def _sample(name: str, process: psutil.Process) -> ProcessSample:
    try:
        with process.oneshot():
            read = written = -1
            with suppress(psutil.AccessDenied, AttributeError):
                counters = process.io_counters()
                read, written = counters.read_bytes, counters.write_bytes
            return ProcessSample(
                name, process.cpu_percent(), process.memory_info().rss, read, written,
                process.num_threads(), max(0.0, time.time() - process.create_time()),
                str(process.status()),
            )  # fmt: skip
    except psutil.Error:
        return ProcessSample(name)


def device_of(folder: str) -> str:
    """The block device of a folder's file system, as /proc/diskstats has it; empty: there is none.

    A partition counts as itself, a folder of btrfs or of an overlay as none: their device numbers
    are nobody's.
    """
    try:
        number = Path(folder).stat().st_dev
    except OSError:
        return ""
    place = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    return place.resolve().name if place.exists() else ""
