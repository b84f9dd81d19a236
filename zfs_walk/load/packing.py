"""Loads and reports as bytes, for whoever is in another process or on another host."""

import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import msgpack
from pydantic import TypeAdapter

from zfs_walk.load import figures, monitor_sample
from zfs_walk.load.figures import Rollover
from zfs_walk.load.monitor_sample import Sample
from zfs_walk.load.report import AgentReport, ConsumerReport
from zfs_walk.load.series import Point
from zfs_walk.load.spec import LoadSpec

LEVEL: Final = 1
"""Of compression: a level more costs twice the time for a twentieth of the bytes."""

LARGEST_STEP: Final = 4_096
"""Of thinning out: no list is longer than some times that."""

MOST: Final = 64 << 20
"""Bytes that a packed report may unpack to."""

_SPEC: Final = TypeAdapter(LoadSpec)
_PLAIN: Final = (
    "version", "host", "agent", "seed", "folder", "began", "ended", "cut_short", "refused",
    "monitor_missed", "monitor_lost",
)  # fmt: skip
_CONSUMER: Final = ("pid", "began", "ended", "beats", "missed", "lost")


def packed_spec(spec: LoadSpec) -> bytes:
    """A load as JSON; what `unpacked_spec` takes."""
    return _SPEC.dump_json(spec)


def unpacked_spec(text: bytes) -> LoadSpec:
    """What `packed_spec` gave.

    Raises:
        ValueError: it is something else.
    """
    return _SPEC.validate_json(text)


def packed_report(
    report: AgentReport, samples: Sequence[bytes], begin: float, most: int = MOST
) -> bytes:
    """An agent's report, compressed; what `unpacked_report` takes.

    Args:
        report: its own samples are left out.
        samples: of the monitor, as they came.
        begin: of the run, by the monitor's clock.
        most: bytes that it may have: if need be, its lists are thinned out.
    """
    every = 1
    while True:
        body: bytes = msgpack.packb(
            {
                **{name: getattr(report, name) for name in _PLAIN},
                "consumers": [_packed_consumer(each, every) for each in report.consumers],
                "samples": list(samples[::every]),
                "begin": begin,
            }
        )
        packed = zlib.compress(body, LEVEL)
        if (len(packed) <= most and len(body) <= MOST) or every > LARGEST_STEP:
            return packed
        every *= 2


def _packed_consumer(consumer: ConsumerReport, every: int) -> dict[str, Any]:
    return {
        **{name: getattr(consumer, name) for name in _CONSUMER},
        "spec": packed_spec(consumer.spec),
        "figures": figures.packed(consumer.figures),
        "rollovers": [
            (each.number, each.file, each.size, each.seconds, each.took)
            for each in consumer.rollovers[::every]
        ],
        "series": [
            (each.seconds, each.written, each.read, each.operations)
            for each in consumer.series[::every]
        ],
    }  # fmt: skip


def unpacked_report(packed: bytes) -> AgentReport:
    """What `packed_report` gave.

    Raises:
        ValueError: it is something else.
    """
    try:
        unpacker = zlib.decompressobj()
        body = unpacker.decompress(packed, MOST)
        if not unpacker.eof:
            raise ValueError(len(packed))  # noqa: TRY301 -- as if zlib had said so
        given: Any = msgpack.unpackb(body)
        return AgentReport(
            **{name: given[name] for name in _PLAIN},
            consumers=tuple(map(_unpacked_consumer, given["consumers"])),
            samples=unpacked_samples(given["samples"], given["begin"]),
        )
    except (zlib.error, ValueError, msgpack.UnpackException, LookupError, TypeError) as error:
        message = "this is no report of a load generator"
        raise ValueError(message) from error


def unpacked_samples(packed: Sequence[bytes], begin: float) -> tuple[Sample, ...]:
    """The monitor's samples; their times count from the begin of the run.

    Raises:
        ValueError: they are something else.
    """
    samples = map(monitor_sample.unpacked, packed)
    return tuple(replace(each, at=each.at - begin) for each in samples)


def _unpacked_consumer(given: Any) -> ConsumerReport:
    return ConsumerReport(
        **{name: given[name] for name in _CONSUMER},
        spec=unpacked_spec(given["spec"]),
        figures=figures.unpacked(given["figures"]),
        rollovers=tuple(Rollover(*row) for row in given["rollovers"]),
        series=tuple(Point(*row) for row in given["series"]),
    )
