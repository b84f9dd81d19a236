"""What is published of a mirror, and what counts as its being well."""

import dataclasses

import pytest

from zfs_walk.agents.uploader.telling import MOST, health, mapping_statistics
from zfs_walk.mirror.handling import HandlerStatistics, Transferring
from zfs_walk.mirror.records import Counts
from zfs_walk.mirror.statistics import MirrorStatistics, Phase, ReconcileStatistics
from zfs_walk.protocol.statistics import MappingStatistics

HANDLER = HandlerStatistics(
    active=(Transferring(b"a", 10, 5, 1.0),), sent=1, bytes=2, moved=3, deleted=4, unchanged=5,
    failed=6, rate=7.6, paused=(), trouble="", since=0.0, look_at=0.0,
)  # fmt: skip
RECONCILE = ReconcileStatistics(done=2, ended=1.5, failed="", checked=9, equal=8, send=1, delete=0)
WELL = MirrorStatistics(
    "photos", b"/data", "s3://b", Phase.MIRRORING, "", Counts(10, 11, 0, 0, 14), indexed=15,
    held_why="", skipped=0, watch=None, handler=HANDLER, reconcile=RECONCILE,
)  # fmt: skip


def test_everything_is_told() -> None:
    assert mapping_statistics(WELL) == MappingStatistics(
        "photos", b"/data", "s3://b", "mirroring", "ok", files=0, indexed=15, ready=10, taken=11,
        held=0, aside=0, bytes=14, active=1, sent=1, sent_bytes=2, moved=3, deleted=4, unchanged=5,
        failed=6, bytes_per_s=8, comparisons=2, compared_ns=1_500_000_000,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("sick", "why"),
    [
        ({"phase": Phase.WAITING, "why": "it is gone"}, "it is gone"),
        ({"handler": dataclasses.replace(HANDLER, trouble="no bucket")}, "no bucket"),
        ({"reconcile": dataclasses.replace(RECONCILE, failed="cut")},
         "both sides could not be compared: cut"),
        ({"counts": Counts(0, 0, 3, 0, 0), "held_why": "too many"},
         "3 deletions wait to be confirmed: too many"),
        ({"counts": Counts(0, 0, 0, 1, 0)}, "1 actions were set aside"),
    ],
)  # fmt: skip
def test_what_keeps_a_mirror_from_its_work_is_its_health(sick: dict[str, object], why: str) -> None:
    told = mapping_statistics(dataclasses.replace(WELL, **sick))  # type: ignore[arg-type]
    assert told.health == why
    assert health([told, mapping_statistics(WELL)]) == f"photos: {why}"


def test_an_uploader_is_well_when_all_its_mirrors_are() -> None:
    assert health([mapping_statistics(WELL)] * 3) == "ok"


def test_a_long_story_is_cut_to_what_the_protocol_takes() -> None:
    sick = dataclasses.replace(WELL, phase=Phase.WAITING, why="x" * 2 * MOST)
    told = mapping_statistics(sick)
    assert len(told.health) == len(health([told])) == MOST
