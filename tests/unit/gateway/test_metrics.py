"""/metrics from made-up snapshots: the official parser reads them, and their number is bounded."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from zfs_walk.gateway.metrics import exposition
from zfs_walk.gateway.watch import Seen
from zfs_walk.protocol.loads import LoadLine
from zfs_walk.protocol.messages import (
    LoadgenStatus,
    ScoutStatus,
    SnapshotReply,
    UploaderStatus,
    WalkerStatus,
)
from zfs_walk.protocol.records import AgentLine, RunLine
from zfs_walk.protocol.statistics import (
    BrokerStatistics,
    ClaimStatistics,
    ConsumerStatistics,
    LoadgenStatistics,
    MappingStatistics,
    Origin,
    ScoutStatistics,
    UploaderStatistics,
    WalkerStatistics,
    WorkerStatistics,
)

OPERATIONS = Path(__file__).parents[3] / "docs/operations.md"
NASTY = 'a"b\\c\nd{x="y"} é'

BROKER = BrokerStatistics(
    **{
        field.name: NASTY if field.name in {"host", "version"} else 7
        for field in dataclasses.fields(BrokerStatistics)
    }  # type: ignore[arg-type]
)
WALKER = WalkerStatistics(
    "ok", 1, 20, 300, 4, 50, 6, 1000, 70, 80, 90, 11,
    (WorkerStatistics(1, 10, True, 100), WorkerStatistics(2, 11, False, 200)),
)  # fmt: skip
CLAIM = ClaimStatistics(
    b"/spool", "fanotify", True, "", files=100, directories=9, unwatched=2, events=50,
    events_lost=1, found_by_events=40, found_by_poll=3, polls=6, poll_ms=1500, writing=4, unsent=5,
)  # fmt: skip
SCOUT = ScoutStatistics(
    "ok", (CLAIM, dataclasses.replace(CLAIM, serving=False, poll_ms=20)), 1000, 70, 80, 90, 11
)


def agent(number: int, state: str, role: str = "walker") -> AgentLine:
    return AgentLine(number, role, f"host{number}", "n", 1, "0", 2, state, 0, 1, 0)


def snapshot(agents: int, runs: int = 0) -> SnapshotReply:
    return SnapshotReply(
        "r",
        1,
        BROKER,
        tuple(agent(number, "live") for number in range(agents)),
        tuple(
            WalkerStatus(Origin(str(number), "walker", f"h{number}", "n", 1, 1, "0"), 1, 1, WALKER)
            for number in range(agents)
        ),
        (),
        (),
        (),
        tuple(RunLine(number, "DONE", (b"/",), 5, 0, 1) for number in range(runs)),
        (LoadLine(7, "RUNNING", "", 2, 0, 60_000, 1_000),),
    )


def series(reply: SnapshotReply | None, age: float = 0.5) -> dict[tuple[Any, ...], float]:
    families = text_string_to_metric_families(exposition(Seen(reply, age)).decode())  # type: ignore[no-untyped-call]
    return {
        (sample.name.removeprefix("zfs_walk_"), *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_load_generators_are_summed_and_load_runs_counted() -> None:
    consumer = ConsumerStatistics(
        "c", 9, "running", "ok", 100, 20, 3, 40, 5, 1, 0, 2, 1_000, 200, 30, 10, 4_000_000, 50, 60
    )
    slow = dataclasses.replace(consumer, p99_ns=2_000_000_000)
    at_work = LoadgenStatistics(
        "ok", "running", 7, 1_000, 60_000, (consumer, slow), 5, 6, 70, 80, 9, 10, 11
    )
    idle = dataclasses.replace(at_work, health="c: 1 errors", stage="standing by", consumers=())
    origin = Origin("l", "loadgen", "h", "n", 1, 1, "0")
    statuses = tuple(LoadgenStatus(origin, 1, 1, each) for each in (at_work, idle))
    found = series(dataclasses.replace(snapshot(0), loadgens=statuses))
    assert found["loadgens_publishing",] == 2
    assert found["loadgens_healthy",] == found["loadgens_standing_by",] == 1
    assert found["loadgens_consumers",] == 2
    assert found["loadgens_written_bytes",] == 200
    assert found["loadgens_read_bytes_per_second",] == 400
    assert found["loadgens_heartbeats_missed",] == 4
    assert found["loadgens_p99_max_seconds",] == 2.0
    assert found["load_runs", "running"] == 1
    assert found["load_runs", "done"] == 0
    assert found["agents", "loadgen", "live"] == 0


def test_labels_are_escaped() -> None:
    assert series(snapshot(0))["broker_info", NASTY, NASTY] == 1


def test_a_broker_that_never_spoke_is_down() -> None:
    assert series(None) == {("broker_up",): 1, ("broker_answer_age_seconds",): 0.5}
    assert series(None, 3.0)["broker_up",] == 0


def test_agents_are_counted_by_role_and_state() -> None:
    reply = dataclasses.replace(
        snapshot(0), agents=(agent(1, "live"), agent(2, "lost"), agent(3, "live", "scout"))
    )
    found = {key: value for key, value in series(reply).items() if key[0] == "agents"}
    assert found == {
        ("agents", "walker", "live"): 1, ("agents", "walker", "suspect"): 0,
        ("agents", "walker", "lost"): 1, ("agents", "scout", "live"): 1,
        ("agents", "scout", "suspect"): 0, ("agents", "scout", "lost"): 0,
        ("agents", "uploader", "live"): 0, ("agents", "uploader", "suspect"): 0,
        ("agents", "uploader", "lost"): 0, ("agents", "loadgen", "live"): 0,
        ("agents", "loadgen", "suspect"): 0, ("agents", "loadgen", "lost"): 0,
    }  # fmt: skip


def test_what_walkers_say_is_summed_up() -> None:
    found = series(snapshot(3))
    assert found["walkers_publishing",] == found["walkers_healthy",] == 3
    assert found["walkers_workers",] == 6
    assert found["walkers_workers_busy",] == 3
    assert found["walkers_entries",] == 900
    assert found["walkers_queue_items",] == 60
    assert found["walkers_resident_memory_bytes",] == 3 * 1300
    assert found["walkers_loop_lag_max_seconds",] == 0.08


def scouting(scouts: int) -> SnapshotReply:
    said = tuple(
        ScoutStatus(Origin(str(number), "scout", f"h{number}", "n", 1, 1, "0"), 1, 1, SCOUT)
        for number in range(scouts)
    )
    return dataclasses.replace(snapshot(0), scouts=said)


def test_what_scouts_say_of_their_folders_is_summed_up() -> None:
    found = series(scouting(3))
    expected = {
        "publishing": 3, "healthy": 3, "claims": 6, "claims_serving": 3, "files": 600,
        "directories": 54, "directories_unwatched": 12, "events": 300, "events_lost": 6,
        "found_by_events": 240, "found_by_poll": 18, "polls": 36, "poll_duration_max_seconds": 1.5,
        "writing": 24, "unsent": 30, "resident_memory_bytes": 3000, "loop_lag_max_seconds": 0.08,
        "log_records_lost": 33,
    }  # fmt: skip
    said = {name[0]: value for name, value in found.items() if name[0].startswith("scouts_")}
    assert said == {f"scouts_{name}": value for name, value in expected.items()}


def test_a_thousand_scouts_add_no_series() -> None:
    assert series(scouting(1000)).keys() == series(scouting(0)).keys()


def uploading(uploaders: int) -> SnapshotReply:
    mapping = MappingStatistics(
        "photos", b"/data", "s3://b", "mirroring", "ok", files=100, indexed=90, ready=7, taken=2,
        held=1, aside=3, bytes=1000, active=2, sent=50, sent_bytes=5000, moved=6, deleted=5,
        unchanged=4, failed=8, bytes_per_s=300, comparisons=2, compared_ns=1,
    )  # fmt: skip
    sick = dataclasses.replace(mapping, health="no bucket")
    said = UploaderStatistics("photos: no bucket", (mapping, sick), 0, 1000, 70, 80, 90, 11)
    return dataclasses.replace(snapshot(0), uploaders=tuple(
        UploaderStatus(Origin(str(number), "uploader", f"h{number}", "n", 1, 1, "0"), 1, 1, said)
        for number in range(uploaders)
    ))  # fmt: skip


def test_what_uploaders_say_of_their_mappings_is_summed_up() -> None:
    found = series(uploading(3))
    expected = {
        "publishing": 3, "healthy": 0, "mappings": 6, "mappings_healthy": 3, "files": 600,
        "files_there": 540, "actions_ready": 42, "actions_taken": 12, "actions_held": 6,
        "actions_aside": 18, "transfers": 12, "sent": 300, "sent_bytes": 30_000, "moved": 36,
        "deleted": 30, "failed_tries": 48, "comparisons": 12, "unsent_bytes": 6000,
        "bytes_per_second": 1800, "resident_memory_bytes": 3000, "loop_lag_max_seconds": 0.08,
        "log_records_lost": 33,
    }  # fmt: skip
    said = {name[0]: value for name, value in found.items() if name[0].startswith("uploaders_")}
    assert said == {f"uploaders_{name}": value for name, value in expected.items()}


def test_a_thousand_uploaders_add_no_series() -> None:
    assert series(uploading(1000)).keys() == series(uploading(0)).keys()


def test_only_runs_that_go_on_have_series_of_their_own() -> None:
    lines = (RunLine(9, "RUNNING", (b"/x",), 12, 3, 1), RunLine(8, "DONE", (b"/x",), 5, 0, 1))
    found = series(dataclasses.replace(snapshot(0), runs=lines))
    assert found["run_entries", "9"] == 12
    assert found["run_queue_items", "9"] == 3
    assert (found["runs", "running"], found["runs", "done"], found["runs", "paused"]) == (1, 1, 0)
    assert ("run_entries", "8") not in found


def test_a_thousand_agents_and_old_runs_add_no_series() -> None:
    assert series(snapshot(1000, 900)).keys() == series(snapshot(1, 1)).keys()


def test_the_documented_series_are_those_that_there_are() -> None:
    documented = {
        line.split("`")[1].partition("{")[0]
        for line in OPERATIONS.read_text().splitlines()
        if line.startswith("| `zfs_walk_")
    }
    lines = (RunLine(9, "RUNNING", (b"/x",), 12, 3, 1),)
    found = series(dataclasses.replace(snapshot(1), runs=lines))
    assert documented == {f"zfs_walk_{key[0]}" for key in found}


@pytest.mark.parametrize("word", ["host", "path", "user"])
def test_no_series_is_labelled_by_what_has_no_bound(word: str) -> None:
    text = exposition(Seen(snapshot(2), 0.0)).decode()
    labelled = [line for line in text.splitlines() if f"{word}=" in line]
    assert [line.partition("{")[0] for line in labelled] == (
        ["zfs_walk_broker_info"] if word == "host" else []
    )
