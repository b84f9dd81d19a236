"""What the monitor tells; whoever reads it needs no psutil."""

import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """One process at one moment.

    Attributes:
        name: the consumer's.
        cpu: percent of one core since the sample before; 0 in the first one.
        rss: resident bytes.
        read: bytes that the kernel has fetched from disks for it; ``written``: that it has sent
            there, both since the process began; -1 where the system does not say.
        threads: of it.
        seconds: that it has run.
        status: running, sleeping, disk-sleep, stopped, zombie ...; gone when it is not there.
    """

    name: str
    cpu: float = 0.0
    rss: int = 0
    read: int = -1
    written: int = -1
    threads: int = 0
    seconds: float = 0.0
    status: str = "gone"


@dataclass(frozen=True, slots=True)
class DeviceSample:
    """A target's block device.

    Attributes:
        name: the system's.
        read: bytes a second; ``written``.
        busy: percent of the time in which it had something to do.
    """

    name: str
    read: int
    written: int
    busy: float


@dataclass(frozen=True, slots=True)
class Sample:
    """All of it at one moment.

    Attributes:
        at: monotonic seconds.
        cpu: percent of all cores of the host since the sample before.
        memory: percent of the host's memory that is in use.
        processes: the consumers'.
        devices: those of the targets; none where a file system has none (tmpfs, NFS).
    """

    at: float
    cpu: float
    memory: float
    processes: tuple[ProcessSample, ...]
    devices: tuple[DeviceSample, ...]


def packed(sample: Sample) -> bytes:
    """As JSON; what `unpacked` takes."""
    return json.dumps(asdict(sample)).encode()


def unpacked(text: bytes) -> Sample:
    """What `packed` gave.

    Raises:
        ValueError: it is something else.
    """
    try:
        given: Any = json.loads(text)
        return Sample(
            given["at"], given["cpu"], given["memory"],
            tuple(ProcessSample(**each) for each in given["processes"]),
            tuple(DeviceSample(**each) for each in given["devices"]),
        )  # fmt: skip
    except (KeyError, TypeError) as error:
        message = "this is no sample"
        raise ValueError(message) from error
