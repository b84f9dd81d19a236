"""The gateway over HTTP: what it says is what the bus says, and it lives exactly as its broker."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.process.place import Place, Process, Site, wait_for
from tests.process.stream import Tail

pytestmark = [pytest.mark.slow, pytest.mark.big]

ANY_PORT = ("--http", "127.0.0.1:0")


@dataclass(frozen=True)
class Answer:
    """What HTTP answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.body)
        return found


def fetch(url: str, path: str, method: str = "GET", token: str = "") -> Answer:
    """Ask once."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request(method, path, headers=headers)
        reply = connection.getresponse()
        return Answer(reply.status, dict(reply.getheaders()), reply.read())
    finally:
        connection.close()


def status(url: str, path: str) -> int:
    """The status of an answer; 0 if there is none."""
    try:
        return fetch(url, path).status
    except OSError:
        return 0


def wait_for_status(site: Site, path: str, expected: int) -> None:
    wait_for(f"{path} answers {expected}", lambda: status(site.http, path) == expected)


def gateway_of(site: Site, broker: Process) -> list[int]:
    """The broker's gateway in the process table."""
    return site.place.descendants(broker.pid)


@pytest.fixture
def served(site: Site) -> Process:
    """A broker whose gateway knows it."""
    broker = site.start_broker(*ANY_PORT, "--heartbeat", "0.3")
    wait_for_status(site, "/readyz", 200)
    return broker


def series(site: Site) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample of /metrics, as the official parser reads it: name and label values."""
    answer = fetch(site.http, "/metrics")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    text = answer.body.decode()
    families = list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]
    assert [family.name for family in families if not family.documentation] == []
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def test_metrics_say_what_the_bus_says(served: Process, site: Site, tree: Path) -> None:
    site.start_agents(2)
    ended = site.place.end(site.walk(tree))
    paused = site.place.run("walk", "--broker", site.endpoint, "--detach", "--min-agents", 9, tree)
    assert (ended.code, paused.code) == (0, 0)
    wait_for("the run waits", lambda: ("zfs_walk_run_entries", ("2",)) in series(site))
    wait_for("the agents say", lambda: series(site)["zfs_walk_walkers_publishing", ()] == 2)
    agents = site.ctl("agent", "list")["agents"]
    runs = site.ctl("run", "list")["runs"]
    found = series(site)
    assert found["zfs_walk_agents", ("walker", "live")] == len(agents) == 2
    assert found["zfs_walk_runs", ("done",)] == 1
    assert found["zfs_walk_runs", ("running",)] == 1
    [waiting] = [run for run in runs if run["run"] == 2]
    assert found["zfs_walk_run_entries", ("2",)] == waiting["entries"] == 0
    assert found["zfs_walk_run_queue_items", ("2",)] == waiting["items_left"] == 1
    assert ("zfs_walk_run_entries", ("1",)) not in found
    assert found["zfs_walk_walkers_publishing", ()] == 2
    assert found["zfs_walk_walkers_workers", ()] == sum(agent["workers"] for agent in agents) == 4
    assert found["zfs_walk_broker_up", ()] == 1
    assert found["zfs_walk_broker_messages_total", ()] > 0
    assert found["zfs_walk_broker_journal_size_bytes", ()] > 0
    rss = found["zfs_walk_broker_resident_memory_bytes", ()]
    kib = int(Path(f"/proc/{served.pid}/status").read_text().split("VmRSS:")[1].split()[0])
    assert abs(rss / 1024 - kib) < kib / 2


def test_health_follows_a_stalled_broker(served: Process, site: Site) -> None:
    assert fetch(site.http, "/healthz").json["healthy"] is True
    served.send_signal(signal.SIGSTOP)
    try:
        wait_for_status(site, "/healthz", 503)
        answer = fetch(site.http, "/healthz")
        assert answer.json["healthy"] is False
        assert isinstance(answer.json["age_seconds"], float)
        assert answer.json["age_seconds"] >= 3
        assert status(site.http, "/readyz") == 503
        assert series(site)["zfs_walk_broker_up", ()] == 0
    finally:
        served.send_signal(signal.SIGCONT)
    wait_for_status(site, "/healthz", 200)
    wait_for_status(site, "/readyz", 200)


def test_a_killed_gateway_is_started_again(served: Process, site: Site) -> None:
    [first] = gateway_of(site, served)
    os.kill(first, signal.SIGKILL)
    wait_for("another comes", lambda: gateway_of(site, served) not in ([], [first]))
    wait_for_status(site, "/readyz", 200)
    [second] = gateway_of(site, served)
    assert second != first
    served.send_signal(signal.SIGTERM)
    ended = site.place.end(served)
    assert ended.code == 0
    assert "the gateway ended (-9) and is started again" in ended.err


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_gateway_ends_with_its_broker(
    served: Process, site: Site, number: signal.Signals
) -> None:
    [gateway] = gateway_of(site, served)
    served.send_signal(number)
    site.place.end(served)
    wait_for("the gateway is gone", lambda: not Path(f"/proc/{gateway}").exists())
    assert status(site.http, "/healthz") == 0


def test_a_stopped_gateway_ends_with_its_broker(served: Process, site: Site) -> None:
    [gateway] = gateway_of(site, served)
    os.kill(gateway, signal.SIGSTOP)
    served.kill()
    site.place.end(served)
    wait_for("the gateway is gone", lambda: gateway not in site.place.alive())


def test_a_restarted_broker_serves_at_the_same_port(served: Process, site: Site) -> None:
    port = site.http.rpartition(":")[2]
    served.kill()
    site.place.end(served)
    again = site.start_broker("--http", f"127.0.0.1:{port}")
    assert site.http.rpartition(":")[2] == port
    wait_for_status(site, "/readyz", 200)
    again.send_signal(signal.SIGTERM)
    assert site.place.end(again).code == 0


def test_slow_clients_do_not_keep_others_out(served: Process, site: Site) -> None:
    del served
    host, port = site.http.removeprefix("http://").split(":")
    slow = [socket.create_connection((host, int(port))) for _ in range(400)]
    try:
        for each in slow[::2]:
            each.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        assert status(site.http, "/healthz") == 200
        # A connection ends when its time is over.
        slow[-1].settimeout(30.0)
        with suppress(ConnectionResetError):
            assert slow[-1].recv(1) == b""
    finally:
        for each in slow:
            each.close()


def test_answers_are_plain_and_not_kept(served: Process, site: Site) -> None:
    del served
    for method, path, code in [
        ("GET", "/healthz", 200),
        ("HEAD", "/healthz", 200),
        ("HEAD", "/metrics", 200),
        ("GET", "/no/such", 404),
        ("GET", "/../etc/passwd", 404),
        ("POST", "/metrics", 405),
    ]:
        answer = fetch(site.http, path, method)
        assert answer.status == code
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Server" not in answer.headers
        if code >= 400:
            assert set(answer.json) == {"schema", "error"}
        if method == "HEAD":
            assert answer.body == b""
    host, port = site.http.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as junk:
        junk.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        said = junk.makefile("rb").read()
    assert said.startswith(b"HTTP/1.0 400")
    assert b"aiohttp" not in said
    assert status(site.http, "/healthz") == 200


def test_a_token_is_demanded(site: Site) -> None:
    token = site.place.folder / "token"
    secret = "s3cret-word"  # noqa: S105 -- of this test
    token.write_text(f"{secret}\n")
    token.chmod(0o600)
    broker = site.start_broker("--http", "0.0.0.0:0", "--http-token-file", token)
    port = site.http.rpartition(":")[2]
    site.http = f"http://127.0.0.1:{port}"
    wait_for_status(site, "/healthz", 401)
    refused = fetch(site.http, "/metrics", token=secret[:-1])
    assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert b"zfs_walk_" not in refused.body
    wait_for("it is ready", lambda: fetch(site.http, "/readyz", token=secret).status == 200)
    assert b"zfs_walk_broker_up 1" in fetch(site.http, "/metrics", token=secret).body
    words = [
        word
        for pid in site.place.alive()
        for name in ("cmdline", "environ")
        for word in [Path(f"/proc/{pid}/{name}").read_bytes()]
    ]
    assert not [word for word in words if b"s3cret-word" in word]
    shown = site.place.run("broker", "--http-token-file", token, "--print-config")
    assert f"http-token-file: {token}  # command line" in shown.out
    assert "s3cret" not in shown.out
    broker.send_signal(signal.SIGTERM)
    assert "s3cret" not in site.place.end(broker).err


def test_other_hosts_are_not_served_without_a_good_token(place: Place) -> None:
    def refusal(*words: str | Path) -> str:
        ended = place.run("broker", "--bind", "tcp://127.0.0.1:*", *words)
        assert (ended.code, ended.out) == (2, "")
        return ended.err

    assert "give a token with --http-token-file" in refusal("--http", "0.0.0.0:0")
    assert "give a token with --http-token-file" in refusal("--http", "[::]:0")
    assert "can't be read" in refusal("--http-token-file", "/no/such")
    token = place.folder / "token"
    token.write_text("word")
    token.chmod(0o644)
    assert f"chmod 600 {token}" in refusal("--http-token-file", token)
    token.chmod(0o600)
    token.write_text("\n")
    assert "must hold one word" in refusal("--http-token-file", token)


def test_a_broker_goes_on_while_its_http_port_is_taken(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        broker = site.start_broker("--http", f"127.0.0.1:{port}")
        assert site.ctl("run", "list")["runs"] == []
        assert gateway_of(site, broker) == []
    wait_for_status(site, "/readyz", 200)
    broker.send_signal(signal.SIGTERM)
    ended = site.place.end(broker)
    assert f"HTTP can't be served at 127.0.0.1:{port}: Address already in use" in ended.err
    assert f"HTTP is served at http://127.0.0.1:{port} now" in ended.err


def test_no_http_is_served_when_none_is_wanted(site: Site) -> None:
    for words in (("--http", "none"), ("--http", "")):
        broker = site.start_broker(*words)
        assert (site.http, gateway_of(site, broker)) == ("", [])
        broker.send_signal(signal.SIGTERM)
        assert site.place.end(broker).err == ""


WITHOUT_WEB = """
import importlib.util
import sys
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: (
    None if name == "aiohttp" else found(name, package)
)
from zfs_walk.cli.broker import run
run()
"""


def test_missing_packages_are_named(site: Site) -> None:
    words = ("--bind", "tcp://127.0.0.1:*", "--state", str(site.state))
    asked = site.place.end(site.place.start_python(WITHOUT_WEB, *words, *ANY_PORT))
    assert asked.code == 10
    assert "HTTP needs a package that is not installed (aiohttp)" in asked.err
    assert "pip install 'zfs_walk[web]'" in asked.err
    broker = site.place.start_python(WITHOUT_WEB, *words)
    assert broker.stdout is not None
    assert "HTTP" not in broker.stdout.readline()
    broker.send_signal(signal.SIGTERM)
    ended = site.place.end(broker)
    assert ended.code == 0
    assert "pip install 'zfs_walk[web]'" in ended.err
    assert "--http none" in ended.err


def test_help_of_the_broker_imports_nothing_of_the_web() -> None:
    code = "import sys; from zfs_walk.cli import broker; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"aiohttp", "prometheus_client", "asyncio", "zmq", "msgpack", "ssl"}
    assert heavy & {line.partition(".")[0] for line in done.stdout.splitlines()} == set()


def test_the_key_of_the_gateway_is_lent(served: Process, site: Site) -> None:
    del served
    listed = site.place.run("ctl", "key", "list", "--broker", site.endpoint)
    assert listed.code == 0
    assert "gateway" not in listed.out
    revoked = site.place.run("ctl", "key", "revoke", "gateway", "--broker", site.endpoint)
    assert revoked.code == 2
    assert "there is no valid key gateway" in revoked.err
    assert status(site.http, "/readyz") == 200


def test_what_the_gateway_logs_is_on_the_bus_and_in_a_file(served: Process, site: Site) -> None:
    tail = Tail(site, "--role", "gateway", "--since", "5m")
    wait_for("the tail shows it", lambda: tail.count() >= 1)
    file = site.state / "log" / "gateway.jsonl"
    served.send_signal(signal.SIGSTOP)
    wait_for("the silence is written down", lambda: file.read_text().count("\n") >= 2)
    served.send_signal(signal.SIGCONT)
    wait_for("the silence is told", lambda: tail.count() >= 3)
    said = [record["message"] for record in tail.said()]
    assert said[0] == f"serves HTTP for the broker at {site.endpoint}"
    assert said[1].startswith(f"No broker answers at {site.endpoint}")
    assert said[2] == "the broker answers again"
    assert file.read_text().splitlines()[:3] == tail.lines()[:3]
