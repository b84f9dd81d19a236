"""What `zfs-ctl status` shows of a snapshot."""

from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from zfs_walk.cli.overview import Overview
from zfs_walk.cli.screen import show
from zfs_walk.protocol.messages import ScoutStatus, SnapshotReply, UploaderStatus, WalkerStatus
from zfs_walk.protocol.records import AgentLine, RunLine
from zfs_walk.protocol.statistics import (
    BrokerStatistics,
    ClaimStatistics,
    MappingStatistics,
    Origin,
    ScoutStatistics,
    UploaderStatistics,
    WalkerStatistics,
    WorkerStatistics,
)

NOW = 1_700_000_000 * 10**9
BROKER = BrokerStatistics(
    host="b0", pid=5, version="1.0", term=7, uptime_ms=3_723_000, secure=True, live=1, suspect=0,
    lost=0, clients=1, running=1, messages=1000, refused=2, transactions=9, journal_bytes=2**20,
    rss=2**21, cpu_ms=1500, loop_lag_ms=1, records=3, ring_records=3, ring_bytes=900,
    claims=0, files=0,
)  # fmt: skip
LINE = AgentLine(3, "walker", "h0", "walker-1", 70, "1.0", 2, "live", 400, 1, 2**20)
WORKERS = (WorkerStatistics(1, 71, busy=True, rss=5), WorkerStatistics(2, 72, busy=False, rss=6))
FIGURES = WalkerStatistics("ok", 1, 12, 999, 0, 12_345, 1, 7, 8, 9, 10, 11, WORKERS)
CLAIM = ClaimStatistics(
    b"/spool/in", "watchdog", True, "", files=1_234, directories=70, unwatched=0, events=5_678,
    events_lost=1, found_by_events=40, found_by_poll=321, polls=6, poll_ms=15, writing=4, unsent=87,
)  # fmt: skip
MAPPING = MappingStatistics(
    "photos", b"/data/photos", "s3://bucket/photos", "mirroring", "ok", files=2_345, indexed=2_340,
    ready=17, taken=4, held=0, aside=0, bytes=3 * 2**20, active=4, sent=987, sent_bytes=2**30,
    moved=6, deleted=5, unchanged=3, failed=2, bytes_per_s=2**20, comparisons=1, compared_ns=NOW,
)  # fmt: skip
RUN = RunLine(4, "RUNNING", (b"/data",), 1_000_000, 55, 61_000)


def status(session: int = 3, time_ns: int = NOW, **fields: Any) -> WalkerStatus:
    origin = Origin("p", "walker", "h0", "walker-1", 70, session, "1.0")
    return WalkerStatus(origin, 1, time_ns, replace(FIGURES, **fields))


def scouting(*claims: ClaimStatistics) -> SnapshotReply:
    line = replace(LINE, session=8, role="scout", name="scout-1", pid=90)
    origin = Origin("s", "scout", "h0", "scout-1", 90, 8, "1.0")
    said = ScoutStatus(origin, 1, NOW, ScoutStatistics("ok", claims, 7, 8, 9, 10, 11))
    return replace(reply(agents=(LINE, line), walkers=(status(),)), scouts=(said,))


def uploading(*mappings: MappingStatistics) -> SnapshotReply:
    line = replace(LINE, session=9, role="uploader", name="uploader-1", pid=91)
    origin = Origin("u", "uploader", "h0", "uploader-1", 91, 9, "1.0")
    said = UploaderStatistics("ok", mappings, 0, 7, 8, 9, 10, 11)
    return replace(
        reply(agents=(LINE, line), walkers=(status(),)),
        uploaders=(UploaderStatus(origin, 1, NOW, said),),
    )


def reply(
    *,
    agents: tuple[AgentLine, ...] = (LINE,),
    walkers: tuple[WalkerStatus, ...] = (),
    runs: tuple[RunLine, ...] = (RUN,),
    broker: BrokerStatistics = BROKER,
) -> SnapshotReply:
    return SnapshotReply("q", NOW, broker, agents, walkers, (), (), (), runs, ())


def text(snapshot: SnapshotReply) -> str:
    console = Console(width=200, highlight=False)
    with console.capture() as capture:
        console.print(show(Overview.of(snapshot)))
    return capture.get()


def test_everything_is_there() -> None:
    shown = text(reply(walkers=(status(),)))
    for part in (
        "b0, pid 5, version 1.0", "up 1:02:03", "1,000 messages, 2 refused", "walker-1", "live",
        "ok", "12,345", "70: 71* 72", "1,000,000", "0:01:01", "/data",
    ):  # fmt: skip
        assert part in shown
    assert "INSECURE" not in shown


def test_a_broker_without_keys_is_marked() -> None:
    assert "INSECURE: no keys are demanded" in text(reply(broker=replace(BROKER, secure=False)))


def test_the_last_status_of_a_session_counts_and_no_other_sessions() -> None:
    walkers = (status(time_ns=NOW - 5 * 10**9, waiting=111), status(waiting=222), status(session=9))
    (agent,) = Overview.of(reply(walkers=walkers)).agents
    assert isinstance(agent.status, WalkerStatistics)
    assert (agent.status.waiting, agent.age) == (222, 0.0)


@pytest.mark.parametrize("state", ["suspect", "lost"])
def test_an_agent_that_is_silent_is_marked_whatever_it_last_said(state: str) -> None:
    line = replace(LINE, state=state, silent_ms=9_400)
    shown = text(reply(agents=(line,), walkers=(status(),)))
    assert state in shown
    assert "silent for 9 s" in shown


def test_another_version_is_marked() -> None:
    assert "0.9 (not the broker's)" in text(reply(agents=(replace(LINE, version="0.9"),)))


def test_names_of_peers_can_not_steer_the_terminal_nor_the_markup() -> None:
    evil = replace(LINE, host="h\x1b[2Jx", name="[bold]w", version="1.0\r", role="walker\n")
    run = replace(RUN, roots=(b"/a\x1b]0;title\x07",))
    shown = text(reply(agents=(evil,), runs=(run,), walkers=(status(health="bad\x1b[m\n"),)))
    assert not {"\x1b", "\x07", "\r"} & set(shown)
    assert "h\\x1b[2Jx" in shown
    assert "[bold]w" in shown


def test_an_empty_bus_says_what_to_start() -> None:
    shown = text(reply(agents=(), runs=()))
    assert "no agents: start one with `zfs-agent --role walker`" in shown
    assert "no runs" in shown


def test_the_folders_of_a_scout_are_shown_with_how_far_to_trust_its_events() -> None:
    shown = text(scouting(CLAIM))
    for part in ("scout-1", "/spool/in", "watchdog", "1,234", "5,678", "321", "87", "by poll"):
        assert part in shown
    assert "polled)" not in shown
    assert "by poll" not in text(reply(walkers=(status(),)))


def test_a_folder_that_is_not_served_or_not_wholly_watched_says_why() -> None:
    claim = replace(CLAIM, serving=False, why="unmounted\x1b[2J", unwatched=3)
    shown = text(scouting(claim))
    assert "no: unmounted\\x1b[2J" in shown
    assert "3 of 70 folders polled" in shown


def test_the_json_of_a_scout_has_its_folders() -> None:
    claim = replace(CLAIM, path=b"/sp\xffool")
    agents = {agent["name"]: agent for agent in Overview.of(scouting(claim)).as_json()["agents"]}
    agent = agents["scout-1"]
    assert agent["status"]["health"] == "ok"
    (said,) = agent["status"]["claims"]
    assert (said["claim"], said["claim_b64"]) == ("/sp\ufffdool", "L3Nw/29vbA==")
    assert (said["found_by_poll"], said["serving"], said["monitor"]) == (321, True, "watchdog")
    assert "path" not in said


def test_mappings_of_uploaders_have_a_table_of_their_own() -> None:
    shown = text(uploading(MAPPING))
    for part in ("uploader-1", "photos", "/data/photos", "s3://bucket/photos", "2,345", "2,340",
                 "21", "3.0 MiB", "987", "1.0 MiB/s"):  # fmt: skip
        assert part in shown
    assert "s3://" not in text(reply(walkers=(status(),)))


def test_what_keeps_a_mapping_from_its_work_is_shown_harmless() -> None:
    assert "no bucket\\x1b[2J" in text(uploading(replace(MAPPING, health="no bucket\x1b[2J")))


def test_the_json_of_an_uploader_has_its_mappings() -> None:
    mapping = replace(MAPPING, path=b"/sp\xffool")
    [agent, _] = Overview.of(uploading(mapping)).as_json()["agents"]
    (said,) = agent["status"]["mappings"]
    assert (said["path"], said["path_b64"]) == ("/sp\ufffdool", "L3Nw/29vbA==")
    assert (said["name"], said["url"], said["held"]) == ("photos", "s3://bucket/photos", 0)


def test_runs_that_are_on_come_before_the_last_ones_that_are_over() -> None:
    over = tuple(replace(RUN, run=number, state="DONE") for number in range(40, 10, -1))
    shown = text(reply(runs=(*over, RUN)))
    assert [number for number in range(50) if f"{number:>3}  DONE" in shown] == [*range(31, 41)]
    assert "  4  RUNNING" in shown


def test_the_json_of_an_agent_without_a_status_says_null() -> None:
    (agent,) = Overview.of(reply()).as_json()["agents"]
    assert (agent["status"], agent["status_age_seconds"], agent["health"]) == (None, None, "")
    (agent,) = Overview.of(reply(walkers=(status(),))).as_json()["agents"]
    assert agent["status"]["workers"][0] == {"worker": 1, "pid": 71, "busy": True, "rss": 5}
