"""What is shown of a load run while it goes on."""

from dataclasses import replace

from rich.console import Console

from zfs_walk.cli.load_screen import line, screen
from zfs_walk.load.figures import Figures
from zfs_walk.load.latency import Latencies
from zfs_walk.load.report import AgentReport, ConsumerReport, RunReport
from zfs_walk.load.series import Point
from zfs_walk.load.spec import LoadSpec
from zfs_walk.protocol.loads import LoadMember
from zfs_walk.protocol.messages import LoadPage

A = LoadMember(1, "h1", "lg1", "RUNNING", "", 3)
B = LoadMember(2, "h2", "lg2", "LOST", "it has ended", 2)
PAGE = LoadPage("q", 5, "RUNNING", "", 2, 0, 60_000, 12_300, (A, B), False, ())


def agent(name: str, errors: int = 0, lost: str = "") -> AgentReport:
    latencies = Latencies()
    latencies.record([2_000_000] * 98 + [8_000_000] * 2)
    figures = Figures(written=40 << 20, operations=100, errors=errors,
                      latencies={"write": latencies})  # fmt: skip
    series = (Point(0.0, 0, 0, 0), Point(4.0, 40 << 20, 0, 100))
    consumer = ConsumerReport(
        LoadSpec(name="c1", target="/d"), 9, 1.0, 0.0, figures, (), series, 4, 0, ""
    )
    return AgentReport(
        "0", "h", name, "s", "f", 1.0, 0.0, "", "", (consumer,), 0, "", lost=lost
    )  # fmt: skip


REPORT = RunReport(5, "RUNNING", 60.0, "", "", (agent("lg1", 3), agent("lg2", lost="it has ended")))


def drawn(page: LoadPage, report: RunReport | None) -> str:
    console = Console(width=160, highlight=False)
    with console.capture() as capture:
        console.print(screen(page, report))
    return capture.get()


def test_a_line_has_the_state_and_the_sums() -> None:
    assert line(PAGE, REPORT) == (
        "load run 5: running, 12 of 60 s, writing 20.0 MiB/s, reading 0 B/s, 50 operations/s,"
        " p50 2 ms, p99 8 ms, 3 errors and faults, 1 agents lost"
    )


def test_before_the_begin_it_says_what_it_waits_for() -> None:
    waiting = replace(PAGE, state="WAITING", there=1, members=())
    assert line(waiting, None) == "load run 5: 1 of 2 load generators stand by"
    preparing = replace(PAGE, state="PREPARING", members=(replace(A, state="READY"), B))
    assert line(preparing, None) == "load run 5: preparing, 1 of 2 agents are ready"


def test_the_end_has_its_reason() -> None:
    ending = replace(PAGE, state="ENDING", reason="stopped by request")
    assert line(ending, None) == "load run 5: ending, 12 of 60 s (stopped by request)"


def test_the_screen_has_each_consumer_all_together_and_who_is_lost() -> None:
    shown = drawn(PAGE, REPORT)
    assert "lg2 on h2 is LOST: it has ended" in shown
    rows = [row.split() for row in shown.splitlines()]
    [one] = [row for row in rows if row[:3] == ["h", "lg1", "c1"]]
    assert one[3:] == ["10.0", "MiB/s", "0", "B/s", "25", "2", "ms", "8", "ms", "0", "3", "0", "0"]
    [both] = [row for row in rows if row[:2] == ["in", "all"]]
    assert both[2:7] == ["20.0", "MiB/s", "0", "B/s", "50"]


def test_what_a_peer_gives_as_its_name_is_made_harmless() -> None:
    named = replace(PAGE, members=(replace(B, name="\x1b[2Jevil"),))
    assert "\x1b[2J" not in drawn(named, None)
