"""Under a service manager: what it is told, by the real processes, and the units it starts from."""

import contextlib
import http.client
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.process.place import Place, Process, Site, wait_for

UNITS = Path(__file__).parents[2] / "configs/systemd"
PROGRAMS = Path(sys.executable).parent


class Manager:
    """A service manager's socket, and what it was told."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0", 1))
        self.socket.setblocking(False)
        self.env = {"NOTIFY_SOCKET": address}
        self.told: list[str] = []

    def listen(self) -> list[str]:
        """Everything so far, a line each."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.told += self.socket.recv(4096).decode().splitlines()
        return self.told

    def wait_for(self, line: str, times: int = 1) -> None:
        wait_for(f"the manager hears {line}", lambda: self.listen().count(line) >= times)


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, place: Place) -> Iterator[Manager]:
    address = f"@zw-{uuid.uuid4().hex}" if request.param == "abstract" else f"{place.folder}/notify"
    made = Manager(address)
    yield made
    made.socket.close()


def watched(manager: Manager, seconds: float) -> dict[str, str]:
    return manager.env | {"WATCHDOG_USEC": str(round(seconds * 1e6))}


def is_ready(url: str) -> bool:
    """A gateway has heard of its broker."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    with contextlib.closing(connection), contextlib.suppress(OSError):
        connection.request("GET", "/readyz")
        return connection.getresponse().status == HTTPStatus.OK
    return False


def start_broker(site: Site, env: dict[str, str]) -> Process:
    return site.place.start(
        "broker", "--bind", "tcp://127.0.0.1:*", "--state", site.state,
        "--http", "none", env=env,
    )  # fmt: skip


def test_a_broker_says_when_it_is_ready_alive_and_ending(manager: Manager, site: Site) -> None:
    broker = site.start_broker("--http", "127.0.0.1:0", env=watched(manager, 0.4))
    manager.wait_for("READY=1")
    # One that is still shaking hands when it is ended would leave a line in the log.
    wait_for("the gateway knows its broker", lambda: is_ready(site.http))
    assert manager.told[1].startswith("STATUS=serving at tcp://127.0.0.1:")
    manager.wait_for("WATCHDOG=1", times=3)
    [gateway] = site.place.descendants(broker.pid)
    assert b"NOTIFY_SOCKET" not in Path(f"/proc/{gateway}/environ").read_bytes()
    broker.send_signal(signal.SIGTERM)
    ended = site.place.end(broker)
    assert (ended.code, ended.err) == (0, "")
    assert manager.listen()[-2:] == ["STOPPING=1", "STATUS=ending"]


def test_a_stalled_loop_shows_no_sign_of_life(manager: Manager, site: Site) -> None:
    broker = start_broker(site, watched(manager, 0.2))
    manager.wait_for("WATCHDOG=1", times=2)
    broker.send_signal(signal.SIGSTOP)
    wait_for("it stands still", lambda: state_of(broker.pid) == "T")
    before = len(manager.listen())
    heard, _, _ = select.select([manager.socket], [], [], 1.0)
    assert heard == []
    broker.send_signal(signal.SIGCONT)
    wait_for("it goes on", lambda: len(manager.listen()) > before)
    broker.send_signal(signal.SIGTERM)
    site.place.end(broker)


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_without_a_watchdog_nobody_pats_it(manager: Manager, site: Site) -> None:
    other = {"WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"}
    broker = start_broker(site, manager.env | other)
    manager.wait_for("READY=1")
    endpoint = manager.told[1].rpartition(" ")[2]
    assert site.place.run("ctl", "run", "list", "--broker", endpoint).code == 0
    broker.send_signal(signal.SIGTERM)
    site.place.end(broker)
    assert "WATCHDOG=1" not in manager.listen()


@pytest.mark.slow
def test_an_agent_is_ready_when_a_broker_has_welcomed_it(manager: Manager, site: Site) -> None:
    broker = site.start_broker("--heartbeat", "0.3")
    broker.kill()
    site.place.end(broker)
    agent = site.start_agent("--wait", env=watched(manager, 0.4))
    manager.wait_for(f"STATUS=waiting for the broker at {site.endpoint}")
    manager.wait_for("WATCHDOG=1")
    assert "READY=1" not in manager.told
    again = site.start_broker("--heartbeat", "0.3")
    manager.wait_for("READY=1")
    assert f"STATUS=serving {site.endpoint}" in manager.told
    again.kill()
    site.place.end(again)
    manager.wait_for(f"STATUS=waiting for the broker at {site.endpoint}", times=2)
    site.start_broker("--heartbeat", "0.3")
    manager.wait_for(f"STATUS=serving {site.endpoint}", times=2)
    agent.send_signal(signal.SIGTERM)
    assert site.place.end(agent).code == 0
    told = manager.listen()
    assert told.index("STOPPING=1") > told.index("READY=1")
    # Workers would be refused; and they say nothing.
    assert told.count("STOPPING=1") == 1


# ------------------------------------------------------------------ the units

Verify = Callable[[Callable[[str], str]], str]


@pytest.fixture
def verify(tmp_path: Path) -> Verify:
    """What systemd says about our units, with the programs of these tests, after a change."""
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("needs systemd-analyze")

    def run(change: Callable[[str], str]) -> str:
        for unit in UNITS.iterdir():
            text = unit.read_text().replace("/usr/local/bin/", f"{PROGRAMS}/")
            (tmp_path / unit.name.replace("@.", "@walker.")).write_text(change(text))
        names = sorted(str(path) for path in tmp_path.iterdir())
        done = subprocess.run(
            [tool, "verify", "--man=no", *names],
            check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return done.stdout if done.returncode == 0 else f"{done.returncode}: {done.stdout}"

    return run


def test_systemd_finds_nothing_wrong_in_the_units(verify: Verify) -> None:
    assert verify(lambda text: text) == ""


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("Restart=on-failure", "Restart=on-sunday", "on-sunday"),
        ("NoNewPrivileges=", "NoNewPriviliges=", "NoNewPriviliges"),
        ("ExecStart=", "ExecStart=/no/such", "is not executable"),
    ],
)
def test_systemd_finds_a_planted_error(
    verify: Verify, right: str, wrong: str, complaint: str
) -> None:
    said = verify(lambda text: text.replace(right, wrong))
    assert complaint in said
    assert "zfs-broker" in said
    assert "zfs-agent@walker" in said


def test_the_units_begin_the_commands_with_options_that_they_have(place: Place) -> None:
    for unit in UNITS.iterdir():
        found = re.search(
            r"^ExecStart=/usr/local/bin/zfs-(\S+) (.*)$", unit.read_text(), re.MULTILINE
        )
        assert found is not None
        words = re.sub(r"/etc/zfs_walk/(%i|\w+).yaml", "/dev/null", found[2])
        shown = place.run(found[1], *words.replace("%i", "walker").split(), "--print-config")
        assert (shown.code, shown.err) == (0, "")


# ------------------------------------------------------------------ completion

COMPLETE = r"""
source <(_{upper}_COMPLETE=bash_source {program})
complete -p {program} > /dev/null || exit 9
COMP_WORDS=({words}) COMP_CWORD=$(({count} - 1))
_{lower}_completion {program}
printf '%s\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("zfs-ctl ru", {"run"}),
        ("zfs-ctl run pa", {"pause"}),
        ("zfs-agent --role ''", {"walker", "scout", "uploader", "loadgen"}),
        ("zfs-broker --print", {"--print-config"}),
        ("zfs-walk --one", {"--one-file-system"}),
        ("zfs-catalog que", {"query"}),
    ],
)
def test_bash_completes(place: Place, line: str, expected: set[str]) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    program, *words = line.split()
    lower = program.replace("-", "_")
    script = COMPLETE.format(
        program=program, words=line, count=1 + len(words), lower=lower, upper=lower.upper()
    )
    env = place.env | {"PATH": f"{PROGRAMS}:{place.env['PATH']}", "ZFS_WALK_NONSENSE": "1"}
    done = subprocess.run(
        [bash, "--norc", "-c", script], env=env, check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert set(done.stdout.splitlines()) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(place: Place, shell: str) -> None:
    env = {"_ZFS_WALK_COMPLETE": f"{shell}_source"}
    ended = place.run("walk", env=env)
    assert (ended.code, ended.err) == (0, "")
    assert f"_ZFS_WALK_COMPLETE={shell}_complete" in ended.out
