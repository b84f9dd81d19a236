"""Who has no right key is refused and logged, and a walk that is under way does not notice."""

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgpack
import pytest
import zmq

from tests.process import oracle
from tests.process.intruders import (
    Recorder,
    address,
    changed,
    dealer,
    own_key,
)
from tests.process.place import Brake, Ended, Place, Process, Site, Word, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.big]

MAGIC = b"ZW\x01"


def message(kind: str, **fields: object) -> list[bytes]:
    """A message as it is on the wire."""
    packed: bytes = msgpack.packb({"t": kind, **fields})
    return [MAGIC, packed]


def hello(role: str, name: str = "intruder") -> list[bytes]:
    return message(
        "HELLO", proto_min=1, proto_max=1, role=role, host="h", name=name, boot=name, conn=1,
        pid=1, version="0", capacity=1, held=[], highest_term=0,
    )  # fmt: skip


class Busy:
    """A site where a walk is under way, slow until it is to end."""

    def __init__(self, site: Site, tree: Path, brake: Brake) -> None:
        self.site, self.tree, self.brake = site, tree, brake
        self.broker = site.start_broker("--heartbeat", "0.5", "--lease-ttl", "4")
        site.start_agents(1, env=self.brake.environment)
        self.walk = site.walk(tree)
        wait_for("the walk is in its middle", lambda: site.ledger.commits >= 3)
        self.content = site.connection()
        self.folder = site.place.folder

    def key(self, name: str, roles: str) -> Path:
        """A connection file for a new key."""
        file = self.folder / f"{name}.json"
        self.site.ctl("key", "add", name, "--role", roles, "-o", file)
        return file

    def run(self, *words: Word) -> Ended:
        """A command of an intruder."""
        return self.site.place.run(*words, "--timeout", "4")

    def log(self) -> str:
        """End the broker, after the walk has ended exactly; what the broker has logged."""
        assert self.walk.poll() is None, "the walk was over before the intruders were"
        self.ends_well()
        self.broker.send_signal(signal.SIGTERM)
        return self.site.place.end(self.broker).err

    def ends_well(self) -> None:
        """The walk goes on at full speed and ends exactly."""
        self.brake.release()
        ended = self.site.place.end(self.walk)
        assert (ended.code, ended.err) == (0, "")
        oracle.same_totals(ended.json, oracle.totals(self.tree))
        self.site.verify()


@pytest.fixture
def busy(site: Site, tree: Path, brake: Brake) -> Busy:
    return Busy(site, tree, brake)


# ---------------------------------------------------------------------- who has no right key


def test_who_has_no_right_key_is_refused_and_told_why(busy: Busy) -> None:
    unknown = changed(busy.folder / "own.json", busy.content, **own_key())
    for words in (("ctl", "run", "list"), ("agent", "--role", "walker")):
        ended = busy.run(*words, "--broker", unknown)
        assert ended.code == 14
        assert "the broker does not let this key in" in ended.err
    other = changed(busy.folder / "other.json", busy.content, server=busy.content["public"])
    ended = busy.run("ctl", "run", "list", "--broker", other)
    assert ended.code == 14
    assert "another key of the broker's" in ended.err
    nowhere = {"XDG_CONFIG_HOME": str(busy.folder / "nowhere")}
    ended = busy.site.place.run("ctl", "run", "list", "--broker", busy.site.endpoint, env=nowhere)
    assert ended.code == 14
    assert f"There is no key for the broker at {busy.site.endpoint}" in ended.err
    assert "zfs-ctl key add NAME" in ended.err
    with dealer(busy.site.endpoint, None) as plain:
        plain.send_multipart(hello("client"))
        assert not plain.poll(2_000)
    log = busy.log()
    assert "a peer at 127.0.0.1 was refused on bus: the broker does not know its key" in log
    assert "was refused: it takes another key for this broker's" in log
    assert "was refused: it speaks without a key" in log or "left without showing a key" in log


def test_a_key_is_good_for_its_roles_only(busy: Busy) -> None:
    reader, walker = busy.key("reader", "reader"), busy.key("walker", "walker,scout")
    [run] = busy.site.place.run("ctl", "run", "list", "--json", "--broker", reader).json["runs"]
    assert run["state"] == "RUNNING"
    for words in (("run", "abort", "1"), ("run", "pause", "1"), ("key", "list")):
        ended = busy.run("ctl", *words, "--broker", reader)
        assert ended.code == 2
        assert "not-allowed: the key reader is for reader; this takes an operator's" in ended.err
    as_walker = busy.run("agent", "--role", "walker", "--broker", reader)
    assert (as_walker.code, "is for reader, not for a walker" in as_walker.err) == (2, True)
    as_client = busy.run("ctl", "run", "list", "--broker", walker)
    assert (as_client.code, "not for a command" in as_client.err) == (2, True)
    busy.log()


def test_the_name_of_anothers_session_is_not_taken(busy: Busy) -> None:
    other = busy.key("other", "walker")
    [agent] = busy.site.ctl("agent", "list")["agents"]
    elsewhere = busy.folder / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    ended = busy.run(
        "agent", "--role", "walker", "--broker", other, "--name", agent["name"],
        "--state", elsewhere,
    )  # fmt: skip
    assert ended.code == 2
    assert "belongs to the key" in ended.err
    busy.log()


# ---------------------------------------------------------------------- revocation


def test_a_revoked_key_ends_its_agent_and_others_take_its_work(busy: Busy) -> None:
    gone = busy.key("gone", "walker")
    words = ("agent", "--role", "walker", "--broker", gone, "--workers", 2)
    agent = busy.site.place.start(*words, env=busy.brake.environment)
    wait_for("it works, too", lambda: len(busy.site.ledger.entries()) == 2)
    assert busy.site.ctl("key", "revoke", "gone")["detail"] == "gone is revoked"
    ended = busy.site.place.end(agent)
    assert ended.code == 2
    assert "not-allowed: the key gone was revoked" in ended.err
    again = busy.run(*words)
    assert (again.code, "it was revoked" in again.err) == (14, True)
    assert "the key gone at 127.0.0.1 was refused on bus: the key was revoked" in busy.log()


def test_nothing_is_heard_of_a_revoked_key_on_a_live_connection(busy: Busy) -> None:
    file = busy.key("gone", "operator")
    ask = message("RUNS", request="r", deadline_ms=2**62)
    with dealer(busy.site.endpoint, json.loads(file.read_text())) as live:
        for said, answer in ((hello("client"), "WELCOME"), (ask, "RUN_LIST")):
            live.send_multipart(said)
            assert live.poll(20_000)
            assert msgpack.unpackb(live.recv_multipart()[1])["t"] == answer
        busy.site.ctl("key", "revoke", "gone")
        assert live.poll(20_000)
        assert msgpack.unpackb(live.recv_multipart()[1])["code"] == "not-allowed"
        for said in (ask, hello("client"), message("ABORT", request="a", deadline_ms=0, run=1)):
            live.send_multipart(said)
        assert not live.poll(1_500)
        [line] = [line for line in busy.site.ctl("key", "list")["keys"] if line["name"] == "gone"]
        assert line["revoked_ns"] > line["created_ns"]
    busy.log()


def test_a_revoked_key_subscribes_to_nothing_more_and_others_go_on(site: Site) -> None:
    site.start_broker()
    mine = site.connection()
    file = site.place.folder / "gone.json"
    site.ctl("key", "add", "gone", "--role", "reader", "-o", file)
    theirs = json.loads(file.read_text())
    with dealer(site.endpoint, mine) as asking:
        asking.send_multipart(hello("client"))
        assert asking.poll(20_000)
        publish, subscribe, _ = msgpack.unpackb(asking.recv_multipart()[1])["endpoints"]
    with (
        dealer(publish, mine, zmq.PUB) as speaker,
        dealer(subscribe, mine, zmq.SUB) as valid,
        dealer(subscribe, theirs, zmq.SUB) as gone,
    ):

        def hears(listener: "zmq.Socket[bytes]") -> bool:
            while listener.poll(0):
                listener.recv_multipart()
            speaker.send_multipart([b"test", MAGIC, b"x"])
            return bool(listener.poll(500))

        wait_for("one listens", lambda: hears(valid))
        wait_for("the other listens", lambda: hears(gone))
        site.ctl("key", "revoke", "gone")
        wait_for("it is cut off", lambda: not hears(gone))
        wait_for("the other is back", lambda: hears(valid))
        for _ in range(5):
            assert hears(valid)
            assert not hears(gone)


# ---------------------------------------------------------------------- strangers at the port


def test_what_was_recorded_and_is_replayed_does_nothing(busy: Busy) -> None:
    recorder = Recorder(busy.site.endpoint)
    file = changed(busy.folder / "through.json", busy.content, endpoint=recorder.endpoint)
    for verb in ("pause", "continue"):
        assert busy.site.place.run("ctl", "run", verb, "1", "--broker", file).code == 0
        if verb == "pause":
            # Whoever submitted it is told; what counts is the run.
            assert busy.site.place.end(busy.walk).code == 11
    busy.walk = busy.site.walk("--attach", "1")
    recorder.close()
    assert len(recorder.said) == 2
    for said in recorder.said:
        assert len(said) > 500
        with socket.create_connection(address(busy.site.endpoint), 20) as replay:
            replay.sendall(said)
            heard = b""
            with contextlib.suppress(ConnectionError):
                while data := replay.recv(65536):
                    heard += data
            # Never more than the greeting and its part of the handshake: no READY.
            assert b"READY" not in heard
    assert busy.site.ctl("run", "show", "1")["state"] == "RUNNING"
    assert "was refused: " in busy.log()


JUNK = (
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    b"\xff" + bytes(8) + b"\x7f\x03\x00NOTHING" + bytes(60),
    bytes(range(256)) * 64,
)
"""HTTP, TLS, a ZeroMQ peer with another mechanism, noise."""


def test_a_port_scanners_bytes_are_refused(busy: Busy) -> None:
    for junk in JUNK * 10:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(address(busy.site.endpoint), 20) as scanner,
        ):
            scanner.sendall(junk)
            scanner.shutdown(socket.SHUT_WR)
            while scanner.recv(65536):
                pass
    assert "was refused: it does not speak ZeroMQ, or speaks without a key" in busy.log()


def test_five_hundred_who_say_nothing_are_disconnected(busy: Busy) -> None:
    held = [socket.create_connection(address(busy.site.endpoint), 20) for _ in range(500)]
    try:
        assert busy.site.ctl("run", "show", "1")["state"] == "RUNNING"
        for connection in held:
            # The greeting of a slow-loris's victim, and then its end.
            while connection.recv(4096):
                pass
    finally:
        for connection in held:
            connection.close()
    assert "was refused: it showed no key within 5 s" in busy.log()


# ---------------------------------------------------------------------- files


def test_the_first_start_makes_files_for_their_owner_only(site: Site) -> None:
    site.start_broker()
    home = site.place.home / ".config/zfs_walk"
    files = [*home.rglob("*.json"), site.state / "keys.json", site.state / "server.json"]
    assert len(files) == 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert {json.loads(file.read_text())["schema"] for file in files} == {1}
    secret = site.connection()["secret"]
    assert all(secret not in file.read_text() for file in files[1:])


def test_a_second_start_lets_the_same_keys_in(site: Site) -> None:
    broker = site.start_broker()
    before = site.connection()
    broker.send_signal(signal.SIGTERM)
    site.place.end(broker)
    site.start_broker()
    assert site.connection() == before
    [key] = site.ctl("key", "list")["keys"]
    assert (key["public"], key["roles"]) == (before["public"], ["operator"])


def test_two_brokers_of_one_user_have_a_file_each(place: Place, site: Site) -> None:
    site.start_broker()
    other = Site(place)
    other.state = place.folder / "other"
    other.start_broker()
    assert site.connection()["server"] != other.connection()["server"]
    assert site.ctl("agent", "list")["agents"] == other.ctl("agent", "list")["agents"] == []


def test_a_connection_file_that_others_may_read_is_refused_with_the_cure(site: Site) -> None:
    site.start_broker()
    file = site.place.folder / "loose.json"
    changed(file, site.connection())
    file.chmod(0o640)
    ended = site.place.run("ctl", "run", "list", "--broker", file)
    assert (ended.code, f"chmod 600 {file}" in ended.err) == (14, True)


@pytest.mark.root
def test_a_connection_file_of_somebody_else_is_refused(site: Site) -> None:
    site.start_broker()
    file = changed(site.place.folder / "theirs.json", site.connection())
    os.chown(file, 65534, 65534)
    ended = site.place.run("ctl", "run", "list", "--broker", file)
    assert (ended.code, "it belongs to uid 65534" in ended.err) == (14, True)


def test_a_key_is_not_written_over_a_file_nor_added_twice(site: Site) -> None:
    site.start_broker()
    file = site.place.folder / "a.json"
    words = ("ctl", "key", "add", "a", "--role", "walker", "--broker", site.endpoint, "-o")
    assert site.place.run(*words, file).code == 0
    before = file.read_bytes()
    assert site.place.run(*words, file).code == 14
    twice = site.place.run(*words, site.place.folder / "b.json")
    assert (twice.code, "there is a key a already" in twice.err) == (2, True)
    assert file.read_bytes() == before
    assert not (site.place.folder / "b.json").exists()


def test_keys_made_beforehand_are_the_brokers(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"tcp://127.0.0.1:{server.getsockname()[1]}"
    made = site.place.run(
        "ctl", "key", "init", "--state", site.state, "--bind", endpoint, "--json"
    ).json
    site.endpoint = endpoint
    site.start_broker()
    assert site.connection()["server"] == made["server"]
    assert json.loads(Path(made["file"]).read_text()) == site.connection()
    assert len(site.ctl("key", "list")["keys"]) == 1


# ---------------------------------------------------------------------- allowed folders


@pytest.fixture
def folders(place: Place) -> tuple[Path, Path]:
    """A folder that the agent may walk, with a link out of it, and one that it may not."""
    mine, other = place.folder / "mine", place.folder / "other"
    for folder in (mine, other):
        folder.mkdir()
        (folder / "file").touch()
    (mine / "out").symlink_to(other)
    (place.folder / "also-mine").symlink_to(mine)
    return mine, other


def test_an_agent_walks_below_its_allowed_folders_only(
    site: Site, folders: tuple[Path, Path]
) -> None:
    mine, other = folders
    site.start_broker()
    site.start_agents(1, "--allow", mine)
    inside = site.place.end(site.walk(mine))
    oracle.same_totals(inside.json, oracle.totals(mine))
    same = site.place.end(site.walk(f"{mine.with_name('also-mine')}/"))
    assert same.json["entries"] == inside.json["entries"]
    for root in (other, f"{mine}/out/", "/"):
        ended = site.place.end(site.walk(root, "--names-only", "--max-depth", 1))
        assert ended.code == 8
        assert "is outside of the folders that this agent may touch (--allow)" in ended.err
    stored = site.place.end(site.walk(mine, "-o", other / "catalog"))
    assert (stored.code, "other/catalog is outside" in stored.err) == (8, True)
    assert list((other / "catalog" / "segments").iterdir()) == []
    (mine / "tree" / "below").mkdir(parents=True)
    assert site.place.end(site.walk(mine / "tree", "-o", mine / "catalog")).code == 0
    assert list((mine / "catalog" / "segments").iterdir()) != []


# ---------------------------------------------------------------------- what is on the wire

NEEDLE = "needle-in-the-hay"
LOGGED = "with the broker at"
"""A text that every agent logs."""


@pytest.fixture
def hay(place: Place) -> Path:
    root = place.folder / NEEDLE
    for number in range(40):
        (root / f"{NEEDLE}-{number}").mkdir(parents=True)
    return root


class Capture:
    """What tshark sees on the loopback."""

    def __init__(self, place: Place, name: str) -> None:
        self._place = place
        self._file = place.folder / f"{name}.pcapng"
        self._process: Process = place.start_program(
            "tshark", "-q", "-i", "lo", "-f", "tcp", "-w", str(self._file)
        )
        wait_for("tshark captures", lambda: self._file.exists() and self._file.stat().st_size)

    def up_to_now(self, endpoint: str) -> None:
        """Wait until everything is in the file that was sent so far: frames come in their order."""
        last = f"last-word-{uuid.uuid4().hex}"
        with socket.create_connection(address(endpoint), 20) as connection:
            connection.sendall(last.encode())
        wait_for("tshark has seen everything", lambda: last.encode() in self._file.read_bytes())

    def frames(self, text: str) -> int:
        """How many frames have this text in clear."""
        found = self._place.end(
            self._place.start_program(
                "tshark", "-r", str(self._file), "-Y", f'frame contains "{text}"', "-T", "fields",
                "-e", "frame.number",
            )
        )  # fmt: skip
        assert found.code == 0, found.err
        return len(found.out.split())

    def stop(self) -> None:
        """End the capture."""
        self._process.send_signal(signal.SIGINT)
        self._place.end(self._process)


@contextlib.contextmanager
def captured(place: Place, name: str) -> Iterator[Capture]:
    capture = Capture(place, name)
    try:
        yield capture
    finally:
        capture.stop()


@pytest.fixture
def as_nobody(place: Place) -> tuple[Sequence[str], dict[str, str]]:
    """How a plain user runs a command: the words in front of it, and its environment."""
    home = place.folder / "nobody"
    (home / "run").mkdir(parents=True, mode=0o700)
    for folder in (home, home / "run"):
        os.chown(folder, 65534, 65534)
    names = ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME")
    env = dict.fromkeys(names, str(home)) | {"XDG_RUNTIME_DIR": str(home / "run")}
    # Plain, but for the right to read this checkout, wherever it is.
    capable = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    return ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *capable), env


@pytest.mark.root
@pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")
def test_nothing_can_be_read_on_the_wire_unless_it_is_insecure(
    place: Place, site: Site, hay: Path, as_nobody: tuple[Sequence[str], dict[str, str]]
) -> None:
    with captured(place, "secure") as capture:
        site.start_broker()
        site.start_agents(1)
        ended = place.end(site.walk(hay))
        oracle.same_totals(ended.json, oracle.totals(hay))
        site.ctl("run", "show", 1)
        capture.up_to_now(site.endpoint)
    assert capture.frames("CURVE") > 0
    assert capture.frames(NEEDLE) == 0
    assert capture.frames(LOGGED) == 0
    prefix, env = as_nobody
    open_site = Site(place)
    open_site.state = place.folder / "nobody/broker"
    with captured(place, "insecure") as capture:
        open_site.start_broker("--insecure", prefix=prefix, env=env)
        open_site.start_agent("--insecure", prefix=prefix, env=env)
        words = ("walk", "--broker", open_site.endpoint, "--insecure", "--json", "-q", hay)
        ended = place.run(*words, prefix=prefix, env=env)
        oracle.same_totals(ended.json, oracle.totals(hay))
        capture.up_to_now(open_site.endpoint)
        status = ("ctl", "status", "--broker", open_site.endpoint, "--insecure", "--json")
        assert place.run(*status, prefix=prefix, env=env).json["broker"]["secure"] is False
    assert capture.frames(NEEDLE) > 0
    assert capture.frames(LOGGED) > 0
