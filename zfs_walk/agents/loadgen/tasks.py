"""What a load generator and its processes say to each other, with the same rules as the bus.

One PUSH per process carries `Consume`, `Check`, `LayOut`, `Go`, `Ask`, `Watch` and `Finish`; one
PULL takes the others from all of them. Figures are cumulative and numbered: one that is lost or
comes twice changes nothing.
"""

from dataclasses import dataclass
from typing import Annotated, Final

from zfs_walk.protocol.codec import Codec
from zfs_walk.protocol.messages import Message
from zfs_walk.protocol.schema import U32, U64, Length, Name, Payload, Text

Body = Annotated[bytes, Length(8 << 20), Payload()]
"""Packed figures (`zfs_walk.load.figures`) or a sample (`zfs_walk.load.monitor`)."""


@dataclass(frozen=True, slots=True)
class Consume(Message):
    """Be a consumer of this load (`zfs_walk.load.packing`).

    ``folder`` is that of the run, below the target; ``max_fill`` thousandths of a percent.
    """

    seed: Text
    folder: Name
    max_fill: U32
    load: Body


@dataclass(frozen=True, slots=True)
class Check(Message):
    """Write a chunk and say what it took: `Checked`."""


@dataclass(frozen=True, slots=True)
class LayOut(Message):
    """Make the files that must be there before the run: `LaidOut`."""


@dataclass(frozen=True, slots=True)
class Go(Message):
    """Begin at this moment of the monotonic clock, and end at that one.

    All end at the same: who has ended removes its files, which those that go on would feel. Look
    at what the agent says after so much work at the latest.
    """

    at_ns: U64
    until_ns: U64
    turn_ns: U64


@dataclass(frozen=True, slots=True)
class Ask(Message):
    """Say that you are there: `Beat`."""

    n: U64


@dataclass(frozen=True, slots=True)
class Watch(Message):
    """Be the monitor: sample these processes (id and name), and the devices of the targets."""

    processes: Annotated[tuple[tuple[U64, Name], ...], Length(1024)]
    every_ms: U32
    targets: Annotated[tuple[Text, ...], Length(1024)]


@dataclass(frozen=True, slots=True)
class Finish(Message):
    """Stop, tidy up, and say `Done`."""


@dataclass(frozen=True, slots=True)
class Ready(Message):
    """The process is there."""

    worker: U64
    pid: U64


@dataclass(frozen=True, slots=True)
class Checked(Message):
    """What a chunk took; ``failed`` says why there is none."""

    worker: U64
    block: U64
    took_ns: U64
    device: U64
    total: U64
    free: U64
    failed: Text


@dataclass(frozen=True, slots=True)
class LaidOut(Message):
    """The files are there."""

    worker: U64


@dataclass(frozen=True, slots=True)
class Beat(Message):
    """The answer to `Ask`."""

    worker: U64
    n: U64


@dataclass(frozen=True, slots=True)
class Report(Message):
    """A consumer's figures so far; a later one replaces an earlier one."""

    worker: U64
    seq: U64
    body: Body


@dataclass(frozen=True, slots=True)
class Sampled(Message):
    """A sample of the monitor's."""

    worker: U64
    seq: U64
    body: Body


@dataclass(frozen=True, slots=True)
class Done(Message):
    """The process has nothing more to say; its last figures came before."""

    worker: U64


FromProcess = Ready | Checked | LaidOut | Beat | Report | Sampled | Done
ToProcess = Consume | Check | LayOut | Go | Ask | Watch | Finish

LINK: Final = Codec(
    (
        Consume,
        Check,
        LayOut,
        Go,
        Ask,
        Watch,
        Finish,
        Ready,
        Checked,
        LaidOut,
        Beat,
        Report,
        Sampled,
        Done,
    ),
    magic=b"ZL\x01",
)
"""The codec between a load generator and its processes."""
