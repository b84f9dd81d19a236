"""Whether a run can come to anything, from what each consumer measured. No I/O, no clock."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from zfs_walk.load.spec import KEEP_ALL, LoadSpec, Work

TWICE: Final = 2
"""Rollovers that at least one consumer must be able to come to."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the pre-flight check of one consumer found.

    Attributes:
        block: bytes of the chunk; ``seconds``: that it took.
        device: of the target's file system; ``total``, ``free``: its bytes, free for this user.
        failed: why nothing could be measured; empty: it could.
    """

    block: int = 0
    seconds: float = 0.0
    device: int = 0
    total: int = 0
    free: int = 0
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the measured chunk lets expect of a consumer.

    Attributes:
        rollover: seconds from one file to the next; 0: it has none.
        space: bytes that it takes of its target.
    """

    rollover: float
    space: int


def expected(spec: LoadSpec, measured: Measured, duration: float) -> Expected:
    """Of one consumer.

    Args:
        spec: its load.
        measured: its chunk.
        duration: seconds that the run takes.
    """
    speed = measured.block / max(measured.seconds, 1e-9)
    if spec.bandwidth:
        speed = min(speed, spec.bandwidth)
    if spec.rate:
        speed = min(speed, spec.rate * _mean(spec.block))
    rollover = _least(spec) / speed if spec.rolls_over else 0.0
    if spec.lays_out or spec.work is Work.METADATA:
        # Files of metadata come and go around their number.
        extra = spec.files // 2 + 1 if spec.work is Work.METADATA else 0
        return Expected(rollover, (spec.files + extra) * spec.usual_file)
    written = round(speed * duration)
    if spec.count:
        written = min(written, spec.count * spec.usual_file)
    if spec.keep == KEEP_ALL:
        return Expected(rollover, written + spec.usual_file)
    last = spec.usual_file
    if spec.shape is not None:
        last = max(last, min(written, spec.shape.largest_of(written / spec.usual_file)))
    return Expected(rollover, spec.keep * spec.usual_file + last)


def _least(spec: LoadSpec) -> float:
    """Bytes of the file that a consumer must come to the end of."""
    return min(size for size, _ in spec.file_size) if spec.shape is None else spec.shape.mean


def refusal(
    specs: Sequence[LoadSpec], measured: Sequence[Measured], duration: float, max_fill: float
) -> str:
    """Why a run is refused, with the figures; empty: it is not.

    Args:
        specs: of the consumers.
        measured: their chunks.
        duration: seconds that the run takes.
        max_fill: percent of a file system that may be in use.
    """
    failed = [
        f"{spec.name}: {chunk.failed}"
        for spec, chunk in zip(specs, measured, strict=True)
        if chunk.failed
    ]
    if failed:
        return "; ".join(failed)
    hopes = [
        expected(spec, chunk, duration) for spec, chunk in zip(specs, measured, strict=True)
    ]  # fmt: skip
    return _too_slow(specs, measured, hopes, duration) or _too_full(
        specs, measured, hopes, max_fill
    )


def _too_slow(
    specs: Sequence[LoadSpec],
    measured: Sequence[Measured],
    hopes: Sequence[Expected],
    duration: float,
) -> str:
    if any(
        min(TWICE, spec.count or TWICE) * hope.rollover <= duration
        for spec, hope in zip(specs, hopes, strict=True)
    ):
        return ""
    lines = [
        f"{spec.name} wrote {chunk.block:,} bytes in {chunk.seconds * 1000:.2f} ms{_limits(spec)},"
        f" so a file of"
        f" {_least(spec):,.0f} bytes takes {hope.rollover:.1f} s"
        for spec, chunk, hope in zip(specs, measured, hopes, strict=True)
    ]
    return (
        f"no consumer would come to a second file twice in {duration:g} s: {'; '.join(lines)}."
        " Take smaller files (file-size) or a longer run (--duration)"
    )


def _limits(spec: LoadSpec) -> str:
    limits = []
    if spec.rate:
        limits.append(f"{spec.rate:g} operations")
    if spec.bandwidth:
        limits.append(f"{spec.bandwidth:,} bytes")
    return f", may do {' and '.join(limits)} a second" if limits else ""


def _too_full(
    specs: Sequence[LoadSpec],
    measured: Sequence[Measured],
    hopes: Sequence[Expected],
    max_fill: float,
) -> str:
    wanted: dict[int, int] = defaultdict(int)
    for chunk, hope in zip(measured, hopes, strict=True):
        wanted[chunk.device] += hope.space
    for spec, chunk in zip(specs, measured, strict=True):
        used = chunk.total - chunk.free + wanted[chunk.device]
        if used > chunk.total * max_fill / 100:
            return (
                f"{spec.target} would be {100 * used / chunk.total:.1f} % full: the run takes"
                f" {wanted[chunk.device]:,} bytes, {chunk.free:,} of {chunk.total:,} are free, and"
                f" --max-fill allows {max_fill:g} %"
            )
    return ""


def _mean(sizes: Sequence[tuple[int, int]]) -> float:
    return sum(size * weight for size, weight in sizes) / sum(weight for _, weight in sizes)
