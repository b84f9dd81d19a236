"""Reports of one agent and of many: packed, added up, and in each form."""

import csv
import io
from dataclasses import replace

import pytest

from zfs_walk.load.figures import Figures, Rollover, Trouble
from zfs_walk.load.latency import Latencies
from zfs_walk.load.monitor_sample import DeviceSample, ProcessSample, Sample, packed
from zfs_walk.load.packing import (
    packed_report,
    packed_spec,
    unpacked_report,
    unpacked_spec,
)
from zfs_walk.load.report import (
    AgentReport,
    ConsumerReport,
    RunReport,
    own_report,
)
from zfs_walk.load.report_html import as_html
from zfs_walk.load.report_json import as_dict
from zfs_walk.load.report_text import as_csv, as_text
from zfs_walk.load.series import Point, lately, together
from zfs_walk.load.spec import LoadSpec, Order, Sync, Work

SPEC = LoadSpec(
    name="c1", target="/data", work=Work.MIXED, order=Order.RANDOM, sync=Sync.FILE,
    file_size=((4096, 3), (1 << 20, 1)), keep=-1, rate=2.5,
)  # fmt: skip
SAMPLE = Sample(
    101.0, 12.0, 34.0, (ProcessSample("c1", 5.0, 99),), (DeviceSample("sda", 1, 2, 50.0),)
)


def consumer(*durations: int, written: int = 100, lost: str = "") -> ConsumerReport:
    latencies = Latencies()
    latencies.record(durations)
    figures = Figures(
        seconds=4.0, written=written, operations=len(durations), rollovers=1,
        latencies={"write": latencies}, troubles=[Trouble(1.0, "open", "/data/x", "no", False)],
    )  # fmt: skip
    series = (Point(2.0, written // 2, 0, 1), Point(4.0, written, 0, 2))
    rollovers = (Rollover(1, 0, 10, 1.5, 0.5),)
    return ConsumerReport(SPEC, 7, 1_000.0, 1_004.0, figures, rollovers, series, 4, 1, lost)


def agent(name: str, *consumers: ConsumerReport, began: float = 1_000.0) -> AgentReport:
    return AgentReport(
        "0", "h", name, "seed", "load-1", began, began + 4, "", "", consumers, 0, ""
    )  # fmt: skip


def run(*agents: AgentReport) -> RunReport:
    return RunReport(7, "DONE", 4.0, "", "", agents)


def test_a_load_comes_out_as_it_went_in() -> None:
    assert unpacked_spec(packed_spec(SPEC)) == SPEC
    with pytest.raises(ValueError, match="validation error"):
        unpacked_spec(b"{}")


def test_an_agents_report_comes_out_as_it_went_in() -> None:
    report = agent("a", consumer(10, 20), consumer(30))
    found = unpacked_report(packed_report(report, [packed(SAMPLE)], 100.0))
    assert found.samples == (replace(SAMPLE, at=1.0),)
    given, got = (as_dict(own_report(each, 4.0)) for each in (report, found))
    del given["agents"][0]["monitor"], got["agents"][0]["monitor"]
    assert got == given


@pytest.mark.parametrize("garbage", [b"", b"x", b"\x78\x9c", packed_spec(SPEC)])
def test_what_is_no_report_is_refused(garbage: bytes) -> None:
    with pytest.raises(ValueError, match="no report of a load generator"):
        unpacked_report(garbage)


def test_a_report_that_is_too_large_is_thinned_out_and_its_figures_stay() -> None:
    points = tuple(Point(n * 0.37, n * 7919, n * 104_729, n) for n in range(2_000))
    report = agent("a", replace(consumer(10, 20), series=points))
    whole = packed_report(report, [], 0.0)
    thin = packed_report(report, [], 0.0, most=len(whole) // 2)
    assert len(thin) <= len(whole) // 2
    found = unpacked_report(thin)
    assert 0 < len(found.consumers[0].series) < 2_000
    assert found.consumers[0].figures.written == 100


def test_percentiles_of_all_agents_are_those_of_all_operations() -> None:
    # The mean of the two medians would be 50.5 us.
    one, other = consumer(*[1_000] * 99), consumer(*[100_000] * 9)
    said = as_dict(run(agent("a", one), agent("b", other)))["totals"]["latency_ns"]["write"]
    assert (said["count"], said["p50"], said["max"]) == (108, 1_000, 100_000)
    assert said["p99"] == pytest.approx(100_000, rel=0.001)


def test_the_spread_of_the_begins_is_told() -> None:
    report = run(agent("a", consumer(1)), agent("b", consumer(1), began=1_000.03))
    assert as_dict(report)["begin_spread_seconds"] == pytest.approx(0.03)
    assert "began within 30.0 ms of each other" in as_text(report)


def test_what_several_had_done_is_added_up_at_the_same_moments() -> None:
    one = [Point(1.0, 10, 0, 1), Point(2.0, 20, 0, 2), Point(3.0, 30, 0, 3)]
    other = [Point(2.0, 100, 8, 4)]
    assert together([one, other]) == [
        Point(0.0, 0, 0, 0), Point(1.0, 60, 4, 3), Point(2.0, 120, 8, 6), Point(3.0, 130, 8, 7),
    ]  # fmt: skip
    assert together([]) == together([[]]) == []


def test_a_speed_is_that_of_the_last_seconds() -> None:
    series = [Point(float(n), n * n, 0, n) for n in range(1, 11)]
    assert lately(series) == (18.0, 0.0, 1.0)  # 64 to 100 in two seconds


def test_an_agent_that_is_lost_is_told_in_every_form() -> None:
    lost = replace(agent("b", consumer(5)), lost="nothing was heard of it")
    report = run(agent("a", consumer(1)), lost)
    assert not report.ok
    said = as_dict(report)
    assert [each["lost"] for each in said["agents"]] == ["", "nothing was heard of it"]
    assert [(each["agent"], each["name"]) for each in said["consumers"]] == [
        ("a", "c1"), ("b", "c1"),
    ]  # fmt: skip
    assert "LOST: nothing was heard of it" in as_text(report)
    assert "LOST: nothing was heard of it" in as_html(report)
    rows = list(csv.DictReader(io.StringIO(as_csv(report))))
    alls = [row for row in rows if row["consumer"] == "all"]
    assert [(row["agent"], row["lost"], row["written_bytes"]) for row in alls] == [
        ("a", "", "100"), ("b", "nothing was heard of it", "100"), ("", "", "200"),
    ]  # fmt: skip


def test_one_that_has_reported_nothing_is_there_all_the_same() -> None:
    silent = replace(agent("b"), began=0.0, ended=0.0, lost="it has ended")
    report = run(agent("a", consumer(1)), silent)
    assert report.ended == 1_004.0
    assert "b on h: 0 consumers" in as_text(report)
    assert as_html(report).count("<svg") >= 4


def test_what_goes_on_has_no_end_yet() -> None:
    report = run(replace(agent("a", consumer(1)), ended=0.0), agent("b", consumer(1)))
    assert as_dict(report)["ended"] == ""
    assert "ended not yet" in as_text(report)
