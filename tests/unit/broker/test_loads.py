"""Load runs in the broker's core: who makes them, when they begin, and whose last word is kept."""

from typing import Any

import pytest

from tests.unit.broker.making import Broker, heartbeat, hello, journal_in_memory, only
from zfs_walk.protocol.loads import LoadLine, LoadMember, LoadSnapshot
from zfs_walk.protocol.messages import (
    CLIENT,
    FIGURES,
    Bye,
    Done,
    Error,
    LoadBegin,
    LoadEnd,
    LoadList,
    LoadPage,
    LoadPrepare,
    LoadReady,
    Loads,
    LoadShow,
    LoadStart,
    LoadStarted,
    LoadStop,
    Message,
    Prune,
    Report,
    ReportAck,
)

CLI = b"client"
A, B, C = b"loadgen-1", b"loadgen-2", b"loadgen-3"
CONFIG = b'{"loads": []}'
Sent = list[tuple[bytes, Message]]


class Bus(Broker):
    """A broker with load generators that stand by, and a client."""

    def here(self, *agents: bytes, host: str = "h0") -> "Bus":
        """Load generators come, or come back, and say that they stand by."""
        for route in agents:
            self.take(route, hello(route.decode(), role="loadgen", capacity=1, host=host))
            self.take(route, heartbeat(want=1))
        return self

    def ask(self, message: Message) -> Sent:
        self.take(CLI, hello("cli", role=CLIENT))
        return self.take(CLI, message)

    def start(self, agents: int = 2, wait: float = 30.0, request: str = "q") -> Sent:
        return self.ask(LoadStart(request, 0, agents, 10_000, round(wait * 1000), CONFIG))

    def page(self, run: int = 1, *, reports: bool = True) -> LoadPage:
        [page] = only(self.ask(LoadShow("p", 0, run, reports, 0)), LoadPage, CLI)
        assert isinstance(page, LoadPage)
        return page

    def state(self, run: int = 1) -> tuple[str, str]:
        page = self.page(run)
        return page.state, page.reason

    def members(self, run: int = 1) -> dict[str, str]:
        return {each.name: each.state for each in self.page(run).members}

    def ready(self, *routes: bytes, run: int = 1) -> Sent:
        return [
            sent
            for route in routes
            for sent in self.take(route, LoadReady(run, ok=True, detail=""))
        ]

    def beating(self, seconds: float, *routes: bytes) -> Sent:
        """Time passes, and these agents are alive; what is sent meanwhile."""
        sent: Sent = []
        for _ in range(round(seconds * 2)):
            sent += self.after(0.5)
            for route in routes:
                sent += self.take(route, heartbeat())
        return sent

    def back(self, **settings: Any) -> "Bus":
        """The broker died, and another one goes on."""
        return Bus(self.journal, **settings)


def report(seq: int, *, last: bool = False, body: bytes = b"", run: int = 1) -> Report:
    return Report(run, FIGURES, seq, last, body or b"report %d" % seq)


def running() -> Bus:
    bus = Bus().here(A, B)
    bus.start()
    bus.ready(A, B)
    return bus


def test_a_run_begins_on_all_at_once_when_all_are_ready() -> None:
    bus = Bus().here(A, B)
    sent = bus.start()
    assert sent[0] == (CLI, LoadStarted("q", 1))
    prepare = LoadPrepare(1, 10_000, CONFIG)
    assert {to for to, message in sent if message == prepare} == {A, B}
    assert bus.ready(A) == []
    assert bus.ready(B) == [(A, LoadBegin(1, 200, 0)), (B, LoadBegin(1, 200, 0))]
    assert bus.state() == ("RUNNING", "")


def test_it_waits_for_as_many_as_it_is_to_have_and_no_smaller_one_overtakes_it() -> None:
    bus = Bus().here(A)
    bus.start(agents=2)
    assert only(bus.start(agents=1, request="second"), LoadPrepare) == []
    assert (bus.state(1)[0], bus.state(2)[0]) == ("WAITING", "WAITING")
    assert bus.page().there == 1
    bus.here(B)
    assert bus.members(1) == {"loadgen-1": "PREPARING", "loadgen-2": "PREPARING"}
    bus.here(C)
    assert bus.members(2) == {"loadgen-3": "PREPARING"}


def test_it_takes_one_of_each_host_before_a_second_one() -> None:
    bus = Bus().here(A, B, host="h0").here(C, host="h1")
    bus.start(agents=2)
    assert bus.members() == {"loadgen-1": "PREPARING", "loadgen-3": "PREPARING"}


def test_one_that_has_not_heard_of_its_run_yet_gets_no_other() -> None:
    bus = Bus().here(A)
    bus.start(agents=1)
    bus.start(agents=1, request="second")
    sent = bus.take(A, heartbeat(want=1))  # LOAD_PREPARE was lost
    assert only(sent, LoadPrepare, A) == [LoadPrepare(1, 10_000, CONFIG)]
    assert (bus.members(1), bus.state(2)[0]) == ({"loadgen-1": "PREPARING"}, "WAITING")


def test_too_few_agents_are_a_refusal_that_says_how_many_there_were() -> None:
    bus = Bus().here(A)
    bus.start(agents=3, wait=5.0)
    bus.beating(4.5)
    bus.here(A)
    assert bus.state()[0] == "WAITING"
    bus.after(0.75)
    assert bus.state() == ("REFUSED", "1 of 3 load generators stand by (loadgen-1 on h0)")


def test_those_at_work_are_told_of_when_there_are_too_few() -> None:
    bus = running()
    bus.start(agents=1, wait=0.5, request="second")
    bus.beating(1.0, A, B)
    assert bus.state(2) == ("REFUSED", "0 of 1 load generators stand by; 2 others are at work")


def test_a_start_that_is_asked_for_again_is_the_same_run() -> None:
    bus = Bus().here(A, B)
    bus.start()
    assert bus.start() == [(CLI, LoadStarted("q", 1))]
    assert bus.back().start()[0] == (CLI, LoadStarted("q", 1))
    assert len(bus.page().members) == 2


def test_one_refusal_refuses_it_for_all_with_the_host_and_the_reason() -> None:
    bus = Bus().here(A).here(B, host="h1")
    bus.start()
    bus.ready(A)
    sent = bus.take(B, LoadReady(1, ok=False, detail="/x: there is no such folder"))
    reason = "loadgen-2 on h1: /x: there is no such folder"
    assert {to for to, message in sent if message == LoadEnd(1, reason)} == {A, B}
    assert bus.state() == ("REFUSED", reason)
    # It is told until it has undone what it had prepared, and said so.
    assert only(bus.take(A, heartbeat()), LoadEnd, A) == [LoadEnd(1, reason)]
    assert only(bus.take(A, report(1, last=True)), ReportAck) == [ReportAck(1, FIGURES, 1)]
    assert only(bus.take(A, heartbeat()), LoadEnd) == []
    assert bus.state()[0] == "REFUSED"


def test_one_that_takes_up_what_it_had_undone_is_let_go() -> None:
    bus = Bus().here(A, B)
    bus.start()
    bus.take(B, LoadReady(1, ok=False, detail="no"))
    bus.take(A, report(1, last=True))
    # LOAD_PREPARE came once more, late.
    assert bus.ready(A) == [(A, LoadEnd(1, "loadgen-2 on h0: no"))]


def test_an_order_is_repeated_with_each_heartbeat_until_it_is_answered() -> None:
    bus = Bus().here(A, B)
    bus.start()
    for _ in range(2):
        assert len(only(bus.take(A, heartbeat()), LoadPrepare, A)) == 1
    bus.ready(A)
    assert only(bus.take(A, heartbeat()), LoadPrepare) == []
    bus.ready(B)
    bus.now += 3.2
    assert only(bus.take(A, heartbeat()), LoadBegin, A) == [LoadBegin(1, 0, 3_000)]
    bus.take(A, report(1))
    assert only(bus.take(A, heartbeat()), LoadBegin) == []
    bus.ask(LoadStop("s", 0, 1))
    assert only(bus.take(A, heartbeat()), LoadEnd, A) == [LoadEnd(1, "stopped by request")]
    bus.take(A, report(2, last=True))
    assert only(bus.take(A, heartbeat()), LoadEnd) == []


def test_ready_that_is_said_again_is_answered_again_and_begins_nothing_twice() -> None:
    bus = running()
    began = bus.core.state.loads[1].began
    bus.now += 1.0
    assert bus.ready(A) == [(A, LoadBegin(1, 0, 800))]
    assert bus.core.state.loads[1].began == began


def test_reports_that_come_twice_or_late_change_nothing_and_are_acknowledged() -> None:
    bus = running()
    for seq in (2, 2, 1, 2):
        sent = bus.take(A, report(seq, body=b"report %d" % seq))
        assert sent == [(A, ReportAck(1, FIGURES, seq))]
    [kept] = bus.page().reports
    assert (kept.seq, kept.last, kept.snapshot) == (2, False, b"report 2")
    # One that is lost leaves no hole: the next one has all.
    bus.take(A, report(7))
    assert [each.seq for each in bus.page().reports] == [7]


def test_it_is_done_when_each_has_said_its_last_word() -> None:
    bus = running()
    bus.take(A, report(1, last=True))
    assert bus.state()[0] == "RUNNING"
    bus.take(B, report(1, last=True))
    assert bus.state() == ("DONE", "")
    assert bus.take(B, report(1, last=True)) == [(B, ReportAck(1, FIGURES, 1))]
    assert [each.snapshot for each in bus.page().reports] == [b"report 1", b"report 1"]


def test_its_time_is_over_before_its_agents_are_done() -> None:
    bus = running()
    bus.beating(10.0, A, B)
    assert bus.state()[0] == "RUNNING"
    bus.beating(0.5, A, B)
    assert bus.state()[0] == "ENDING"


def test_an_agent_that_is_lost_keeps_its_last_report_and_the_others_end_it() -> None:
    bus = running()
    bus.take(A, report(3))
    bus.not_sent(A, LoadBegin(1, 0, 0), gone=True)
    bus.beating(4.0, B)
    lost = {each.name: each for each in bus.page().members}["loadgen-1"]
    assert (lost.state, lost.seq) == ("LOST", 3)
    assert "nothing was heard of it for 3 s" in lost.detail
    assert bus.state()[0] == "RUNNING"
    bus.take(B, report(9, last=True))
    assert bus.state()[0] == "DONE"
    assert [each.snapshot for each in bus.page().reports] == [b"report 3", b"report 9"]


def test_one_that_was_lost_and_comes_back_is_not_lost() -> None:
    bus = running()
    bus.take(A, report(3))
    bus.not_sent(A, LoadBegin(1, 0, 0), gone=True)
    bus.beating(4.0, B)
    bus.take(B, report(9, last=True))
    assert bus.state()[0] == "DONE"
    bus.take(A, hello("loadgen-1", role="loadgen", capacity=1, conn=2))
    bus.take(A, report(4))
    assert bus.members() == {"loadgen-1": "RUNNING", "loadgen-2": "DONE"}
    bus.take(A, report(5, last=True))
    assert bus.page().members[0] == LoadMember(
        bus.page().members[0].session, "h0", "loadgen-1", "DONE", "", 5
    )


def test_one_that_comes_back_ready_when_all_is_over_is_let_go() -> None:
    bus = running()
    bus.not_sent(A, LoadBegin(1, 0, 0), gone=True)
    bus.beating(4.0, B)
    bus.take(B, report(9, last=True))
    bus.take(A, hello("loadgen-1", role="loadgen", capacity=1, conn=2))
    assert len(only(bus.take(A, LoadReady(1, ok=True, detail="")), LoadEnd, A)) == 1


def test_one_that_is_lost_before_the_begin_refuses_the_run() -> None:
    bus = Bus().here(A, B)
    bus.start()
    bus.ready(A)
    sent = bus.take(B, Bye("drained"))
    assert only(sent, LoadEnd, A) == [LoadEnd(1, "loadgen-2 on h0: it has ended")]
    assert bus.state() == ("REFUSED", "loadgen-2 on h0: it has ended")


def test_one_that_knows_nothing_of_the_run_is_lost() -> None:
    bus = running()
    bus.take(A, LoadReady(1, ok=False, detail="it knows nothing of this run"))
    assert bus.members() == {"loadgen-1": "LOST", "loadgen-2": "RUNNING"}


@pytest.mark.parametrize("prepared", [False, True])
def test_a_stop_before_the_begin_aborts_it(prepared: bool) -> None:  # noqa: FBT001
    bus = Bus().here(A)
    bus.start(agents=1 if prepared else 2)
    sent = bus.ask(LoadStop("s", 0, 1))
    assert only(sent, Done, CLI) == [Done("s", "ABORTED")]
    assert len(only(sent, LoadEnd, A)) == prepared
    assert bus.state() == ("ABORTED", "stopped by request before it began")
    assert only(bus.ask(LoadStop("s2", 0, 1)), Done, CLI) == [Done("s2", "ABORTED")]


def test_a_stop_ends_it_and_what_was_done_is_reported() -> None:
    bus = running()
    sent = bus.ask(LoadStop("s", 0, 1))
    assert {to for to, message in sent if isinstance(message, LoadEnd)} == {A, B}
    assert bus.state() == ("ENDING", "stopped by request")
    bus.take(A, report(1, last=True))
    bus.take(B, report(1, last=True))
    assert bus.state() == ("DONE", "stopped by request")


def test_a_broker_that_is_back_goes_on_with_what_the_journal_has() -> None:
    now = 5_000.0
    bus = Bus(journal_in_memory(clock=lambda: now)).here(A, B)
    bus.start()
    bus.ready(A)
    bus = bus.back().here()
    assert bus.members() == {"loadgen-1": "READY", "loadgen-2": "PREPARING"}
    for route in (A, B):
        bus.take(route, hello(route.decode(), role="loadgen", capacity=1, conn=2))
    assert only(bus.take(B, heartbeat()), LoadPrepare, B) == [LoadPrepare(1, 10_000, CONFIG)]
    bus.ready(B)
    bus.take(A, report(4))
    now += 3.2
    bus = bus.back()
    for route in (A, B):
        bus.take(route, hello(route.decode(), role="loadgen", capacity=1, conn=3))
    # It tells how long ago the others have begun.
    assert only(bus.take(B, heartbeat()), LoadBegin, B) == [LoadBegin(1, 0, 3_000)]
    assert bus.take(A, report(3)) == [(A, ReportAck(1, FIGURES, 3))]
    assert [each.seq for each in bus.page().reports] == [4]
    bus.take(A, report(5, last=True))
    bus.take(B, report(1, last=True))
    bus = bus.back()
    assert bus.state()[0] == "DONE"
    assert [each.seq for each in bus.page().reports] == [5, 1]


def test_agents_that_do_not_come_back_to_a_restarted_broker_are_lost_and_the_run_is_done() -> None:
    bus = running()
    bus.take(A, report(4))
    bus = bus.back()
    bus.take(B, hello("loadgen-2", role="loadgen", capacity=1, conn=2))
    bus.beating(16.0, B)
    assert bus.members() == {"loadgen-1": "LOST", "loadgen-2": "RUNNING"}
    bus.take(B, report(1, last=True))
    assert bus.state()[0] == "DONE"


def test_what_is_stopped_stays_so_in_the_next_term() -> None:
    bus = running()
    bus.ask(LoadStop("s", 0, 1))
    bus = bus.back()
    bus.take(A, hello("loadgen-1", role="loadgen", capacity=1, conn=2))
    assert only(bus.take(A, heartbeat()), LoadEnd, A) == [LoadEnd(1, "stopped by request")]


def test_whoever_asks_for_an_unknown_run_is_told() -> None:
    bus = running()
    assert only(bus.ask(LoadShow("p", 0, 9, False, 0)), Error, CLI) == [
        Error("no-such-run", "no load run 9; the latest: 1", "p")
    ]
    assert only(bus.take(A, LoadReady(9, ok=True, detail="")), LoadEnd, A) == [
        LoadEnd(9, "the broker knows no such run")
    ]
    # A report of a run that nobody knows holds no agent.
    assert bus.take(A, report(1, run=9, last=True)) == [(A, ReportAck(9, FIGURES, 1))]


def test_reports_of_strangers_are_not_kept() -> None:
    bus = running().here(C)
    assert bus.take(C, report(1, last=True)) == [(C, ReportAck(1, FIGURES, 1))]
    assert bus.page().reports == ()


def test_a_run_has_a_line_and_no_number_of_a_walk() -> None:
    bus = running()
    assert bus.submit() == 2
    bus.now += 1.2
    [[line]] = [each.loads for each in only(bus.ask(Loads("l", 0)), LoadList, CLI)]
    assert line == LoadLine(1, "RUNNING", "", 2, 0, 10_000, 1_000)


def test_runs_that_are_over_are_forgotten_with_their_reports() -> None:
    bus = running()
    refusal = only(bus.ask(Prune("x", 0, 1, 0)), Error, CLI)
    assert refusal == [Error("run-not-over", "run 1 is RUNNING; stop it first", "x")]
    bus.take(A, report(1, last=True))
    bus.take(B, report(1, last=True))
    assert only(bus.ask(Prune("y", 0, 1, 0)), Done, CLI) == [Done("y", "forgotten: 1")]
    bus.after(1.0)
    assert bus.journal.reports(1, 0, 10**9) == ((), False)
    assert bus.back().core.state.loads == {}


def test_they_are_forgotten_by_themselves_after_the_time_that_runs_are_kept() -> None:
    bus = Bus(keep_runs=100.0).here(A)
    bus.start(agents=1)
    bus.ready(A)
    bus.take(A, report(1, last=True))
    bus.after(90.0)
    assert 1 in bus.core.state.loads
    bus.after(12.0)
    assert bus.core.state.loads == {}


def test_many_reports_come_in_pages() -> None:
    bus = running()
    large = bytes(3 << 20)
    bus.take(A, report(1, body=large))
    bus.take(B, report(1, body=large))
    page = bus.page()
    assert (len(page.reports), page.more) == (1, True)
    after = page.reports[0].session
    [second] = only(bus.ask(LoadShow("p", 0, 1, True, after)), LoadPage, CLI)
    [other] = second.reports
    assert isinstance(other, LoadSnapshot)
    assert (other.session > after, second.more) == (True, False)
