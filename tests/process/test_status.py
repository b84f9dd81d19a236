"""status, top and doctor against the process table, dead and strange processes, and a terminal."""

import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.place import PATIENCE, Process, Site, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.big]


def agents(site: Site) -> list[dict[str, object]]:
    found: list[dict[str, object]] = site.ctl("status")["agents"]
    return found


def test_status_tells_the_workers_that_the_process_table_has(quick_site: Site) -> None:
    first, second = quick_site.start_agents(2)
    place = quick_site.place

    def told() -> dict[object, set[int]]:
        return {
            agent["pid"]: {worker["pid"] for worker in agent["status"]["workers"]}
            for agent in quick_site.ctl("status")["agents"]
            if agent["status"]
        }

    def there() -> dict[object, set[int]]:
        return {agent.pid: set(place.workers(agent)) for agent in (first, second)}

    wait_for("the figures agree", lambda: told() == there() and all(there().values()))
    assert {agent["health"] for agent in agents(quick_site)} == {"ok"}
    os.kill(place.workers(first)[0], signal.SIGKILL)
    wait_for("the new worker is told", lambda: told() == there() and len(told()[first.pid]) == 2)
    broker = quick_site.ctl("status")["broker"]
    assert (broker["live"], broker["secure"]) == (2, True)
    assert broker["pid"] == place.started[0].pid


def test_status_marks_agents_that_are_stopped_and_dead(quick_site: Site) -> None:
    stopped, killed = quick_site.start_agents(2)

    def states() -> dict[object, object]:
        return {agent["pid"]: agent["state"] for agent in agents(quick_site)}

    stopped.send_signal(signal.SIGSTOP)
    killed.kill()
    wait_for("both are missed", lambda: "live" not in states().values())
    wait_for("the dead one is lost", lambda: states()[killed.pid] == "lost")
    shown = quick_site.place.run("ctl", "status", "--broker", quick_site.endpoint)
    assert "lost" in shown.out
    assert "silent for" in shown.out
    stopped.send_signal(signal.SIGCONT)
    wait_for("the stopped one is back", lambda: states()[stopped.pid] == "live")


def test_status_says_what_an_agent_can_not_walk(quick_site: Site, tree: Path) -> None:
    quick_site.start_agents(1, "--allow", quick_site.place.folder)
    process = quick_site.walk(tree)
    wait_for("it says so", lambda: "run 1: " in str(agents(quick_site)[0]["health"]))
    quick_site.ctl("run", "abort", 1)
    quick_site.place.end(process)
    wait_for("it is well again", lambda: agents(quick_site)[0]["health"] == "ok")


def test_status_marks_an_agent_of_another_release(quick_site: Site) -> None:
    code = (
        "import zfs_walk\nzfs_walk.__version__ = '9.9'\nfrom zfs_walk.cli.agent import run\nrun()"
    )
    words = ("--role", "walker", "--broker", quick_site.endpoint, "--workers", "1")
    quick_site.agents.append(quick_site.place.start_python(code, *words))
    wait_for("it comes", lambda: len(quick_site.names()) == 1)
    [agent] = agents(quick_site)
    assert (agent["version"], agent["same_version"]) == ("9.9", False)
    shown = quick_site.place.run("ctl", "status", "--broker", quick_site.endpoint)
    assert "9.9 (not the broker's)" in shown.out


# ------------------------------------------------------------------------- top


class Terminal:
    """A terminal with `zfs-ctl top` on it."""

    def __init__(self, site: Site, *arguments: str) -> None:
        self.mine, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (50, 200))
        self.before = termios.tcgetattr(theirs)
        place = site.place
        self.process: Process = subprocess.Popen(
            place.command("ctl", "top", "--broker", site.endpoint, *arguments),
            stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, text=True,
            env={**place.env, "TERM": "xterm-256color"}, cwd=place.folder, start_new_session=True,
        )  # fmt: skip
        place.started.append(self.process)
        self.theirs = theirs
        self.seen = ""

    def read(self) -> str:
        """All that was shown so far."""
        while select.select([self.mine], [], [], 0)[0]:
            self.seen += os.read(self.mine, 65_536).decode(errors="replace")
        return self.seen

    def shows(self, text: str) -> None:
        wait_for(f"{text!r} is shown", lambda: text in self.read())

    def key(self, key: bytes) -> None:
        os.write(self.mine, key)

    def ended(self) -> tuple[int, str]:
        """Wait for its end while reading, as a terminal does."""
        until = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < until
            self.read()
            time.sleep(0.01)
        assert self.process.stderr is not None
        return self.process.returncode, self.process.stderr.read()

    @property
    def restored(self) -> bool:
        """The screen, the cursor and the keys are as they were."""
        seen = self.read()
        screen = seen.rindex("\x1b[?1049l") > seen.rindex("\x1b[?1049h")
        cursor = seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l")
        return screen and cursor and termios.tcgetattr(self.theirs) == self.before

    def close(self) -> None:
        os.close(self.mine)
        os.close(self.theirs)


@pytest.fixture
def terminal(quick_site: Site) -> Iterator[Terminal]:
    made = Terminal(quick_site, "--interval", "0.1")
    yield made
    made.close()


def test_top_shows_what_comes_and_q_leaves(quick_site: Site, terminal: Terminal) -> None:
    terminal.shows("no agents")
    quick_site.start_agents(1)
    terminal.shows("walker-1")
    terminal.key(b"q")
    assert terminal.ended() == (0, "")
    assert terminal.restored


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_top_leaves_the_terminal_as_it_was(terminal: Terminal, number: signal.Signals) -> None:
    terminal.shows("no agents")
    terminal.process.send_signal(number)
    assert terminal.ended() == (0, "")
    assert terminal.restored


def test_top_says_that_the_broker_is_away_and_goes_on_when_it_is_back(quick_site: Site) -> None:
    terminal = Terminal(quick_site, "--interval", "0.1", "--timeout", "1")
    terminal.shows("no agents")
    broker = quick_site.place.started[0]
    broker.kill()
    quick_site.place.end(broker)
    terminal.shows("No broker answers")
    quick_site.start_broker()
    terminal.seen = ""
    terminal.shows("no agents")
    terminal.key(b"q")
    assert terminal.ended() == (0, "")
    terminal.close()


def test_top_without_a_terminal_says_what_to_use(quick_site: Site) -> None:
    ended = quick_site.place.run("ctl", "top", "--broker", quick_site.endpoint)
    assert (ended.code, ended.out) == (2, "")
    assert "`zfs-ctl status` prints the same once" in ended.err


# ------------------------------------------------------------------------- doctor


def test_the_doctor_finds_a_bus_well(quick_site: Site) -> None:
    quick_site.start_agents(1)
    told = quick_site.ctl("doctor")
    checks = {check["check"]: check for check in told["checks"]}
    for check in ("broker", "keys", "broker's clock", "libraries", "state folder"):
        assert checks[check]["verdict"] == "ok", checks[check]
    assert any(name.startswith("walker walker-1 on ") for name in checks)
    assert all(bool(check["cure"]) == (check["verdict"] != "ok") for check in told["checks"])


def test_the_doctor_works_without_a_broker_and_says_so(quick_site: Site) -> None:
    broker = quick_site.place.started[0]
    broker.kill()
    quick_site.place.end(broker)
    ended = quick_site.place.run(
        "ctl", "doctor", "--timeout", "0.5", "--broker", quick_site.endpoint
    )
    assert (ended.code, ended.err) == (0, "")
    assert "No broker answers" in ended.out
    assert "ok    state folder" in ended.out


def test_the_doctor_names_the_cure_of_a_loose_key(quick_site: Site) -> None:
    config = Path(quick_site.place.env.get("XDG_CONFIG_HOME", quick_site.place.folder))
    [path] = list(config.rglob("connections/*.json"))
    path.chmod(0o644)
    ended = quick_site.place.run("ctl", "doctor", "--timeout", "0.5", "--json")
    found = [check for check in ended.json["checks"] if check["verdict"] == "bad"]
    assert (ended.code, ended.json["verdict"]) == (1, "bad")
    assert any(f"chmod 600 {path}" in check["cure"] for check in found)


def test_the_doctor_counts_descriptors_against_sessions(quick_site: Site) -> None:
    limited = ["sh", "-c", 'ulimit -n 150 && exec "$@"', "sh"]
    place = quick_site.place
    ended = place.run("ctl", "doctor", "--broker", quick_site.endpoint, "--json", prefix=limited)
    [found] = [check for check in ended.json["checks"] if check["check"] == "open files"]
    assert (found["verdict"], ended.code) == ("bad", 1)
    assert "LimitNOFILE=" in found["cure"]
