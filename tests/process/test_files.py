"""The scouts' lists over HTTP and in the terminal, from a real broker and its gateway.

What scouts see is told to them (`scouting`), so that names and figures are the test's own.
"""

import base64
import contextlib
import gzip
import json
import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.process.place import Process, Site, wait_for
from tests.process.scouting import Row, Scout
from tests.process.web import fetch, status, told

pytestmark = [pytest.mark.slow, pytest.mark.big, pytest.mark.alone]

T = 1_700_000_000_250_000_000
WRITING, LINK = 1, 2

ROWS: list[Row] = [
    (b"b", 2, T, 0), (b"a/x y+&%", 1, T, 0),
    (b"caf\xe9\xff", 3, T, WRITING), (b"l\nine", 4, T, LINK),
]  # fmt: skip


def names(site: Site, query: str = "") -> list[str]:
    return [file["filename"] for file in told(site, f"/files{query}")["files"]]


def paged(site: Site, limit: int, query: str = "") -> list[dict[str, Any]]:
    """The whole list, page by page."""
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = told(site, f"/files?limit={limit}{query}{after}")
        found += page["files"]
        if page["next"] is None:
            return found
        assert len(page["files"]) == limit
        after = f"&after={page['next']}"


@pytest.fixture
def served(site: Site) -> Process:
    """A broker whose gateway has its lists."""
    broker = site.start_broker("--http", "127.0.0.1:0", "--heartbeat", "0.3")
    wait_for("the lists are served", lambda: status(site, "/files") == 200)
    return broker


class Events:
    """A reader of /files/changes, in HTTP/1.0: what comes is the stream as it is."""

    def __init__(self, site: Site, query: str = "", last: str = "") -> None:
        host, port = site.http.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=20)
        known = f"Last-Event-ID: {last}\r\n" if last else ""
        self.socket.sendall(f"GET /files/changes{query} HTTP/1.0\r\n{known}\r\n".encode())
        self.stream = self.socket.makefile("rb")
        assert b" 200 " in self.stream.readline()
        headers = [line.lower() for line in iter(self.stream.readline, b"\r\n")]
        assert b"content-type: text/event-stream; charset=utf-8\r\n" in headers
        self.last = last

    def next(self) -> tuple[str, dict[str, Any]]:
        """The next event and its data; comments are passed over."""
        fields: dict[str, str] = {}
        while True:
            line = self.stream.readline()
            assert line, "the stream has ended"
            if line == b"\n" and "event" in fields:
                self.last = fields["id"]
                return fields["event"], json.loads(fields["data"])
            name, _, value = line.decode().rstrip("\n").partition(": ")
            fields[name] = value

    def close(self) -> None:
        self.stream.close()
        self.socket.close()


@contextlib.contextmanager
def events(site: Site, query: str = "", last: str = "") -> Iterator[Events]:
    made = Events(site, query, last)
    try:
        yield made
    finally:
        made.close()


def test_files_of_all_scouts_are_merged_and_sorted(served: Process, site: Site) -> None:
    del served
    one, two = Scout(site, "h1", b"/spool", 1), Scout(site, "h2", b"/in\xff", 2)
    one.see(ROWS)
    two.see([(b"a/x y+&%", 7, T, 0), (b"zz", 8, T, 0)])
    wait_for("all are there", lambda: len(names(site)) == 6)
    found = told(site, "/files")
    assert (found["schema"], found["next"]) == (1, None)
    files = found["files"]
    # U+FFFD in a name is its JSON's only; the order is that of the bytes.
    assert [(file["filename"], file["host"]) for file in files] == [
        ("a/x y+&%", "h1"), ("a/x y+&%", "h2"), ("b", "h1"), ("caf\ufffd\ufffd", "h1"),
        ("l\nine", "h1"), ("zz", "h2"),
    ]  # fmt: skip
    assert files[2] == {
        "filename": "b", "host": "h1", "claim": "/spool",
        "size": 2, "mtime": 1_700_000_000.25, "mtime_ns": T,
    }  # fmt: skip
    assert base64.b64decode(files[3]["filename_b64"]) == b"caf\xe9\xff"
    assert base64.b64decode(files[1]["claim_b64"]) == b"/in\xff"
    assert [file.get("writing") for file in files] == [None, None, None, True, None, None]
    assert [file.get("link") for file in files] == [None, None, None, None, True, None]
    assert names(site, "?host=h2") == ["a/x y+&%", "zz"]
    assert names(site, "?prefix=caf%E9") == ["caf\ufffd\ufffd"]
    assert names(site, "?prefix=a/x%20y%2B%26%25&host=h1") == ["a/x y+&%"]
    assert names(site, "?host=nobody") == []
    _, lines = fetch(site, "/files?format=ndjson")
    assert [json.loads(line) for line in lines.splitlines()] == files
    assert paged(site, 1) == paged(site, 4) == paged(site, 6) == files
    claims = told(site, "/claims")["claims"]
    assert [(claim["host"], claim["scout"], claim["files"]) for claim in claims] == [
        ("h1", "scout-1", 4), ("h2", "scout-2", 2)
    ]  # fmt: skip
    assert {claim["state"] for claim in claims} == {"live"}
    assert claims[0]["pid"] == one.process.pid


def test_an_answer_is_compressed_known_again_or_only_its_head(served: Process, site: Site) -> None:
    del served
    scout = Scout(site, "h1", b"/spool", 1)
    scout.see([], many=5000)
    wait_for("all are there", lambda: len(names(site)) == 5000)
    for query in ("", "?limit=10", "?format=ndjson", "?limit=3000&format=ndjson"):
        plain, body = fetch(site, f"/files{query}")
        packed, small = fetch(site, f"/files{query}", Accept_Encoding="br, gzip")
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(small) == body
        assert len(small) < len(body)
        head, nothing = fetch(site, f"/files{query}", "HEAD")
        assert (head.status, nothing) == (200, b"")
        kind, etag = plain.headers["Content-Type"], plain.headers["ETag"]
        assert (head.headers["Content-Type"], head.headers["ETag"]) == (kind, etag)
        assert kind == f"application/{'x-nd' if 'nd' in query else ''}json; charset=utf-8"
        known, nothing = fetch(site, f"/files{query}", If_None_Match=f'"other", {etag}')
        assert (known.status, nothing) == (304, b"")
    etag = fetch(site, "/files?limit=1")[0].headers["ETag"]
    scout.change([(b"new", 1, T, 0)])
    wait_for("it is news", lambda: fetch(site, "/files", If_None_Match=etag)[0].status == 200)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/files?limit=0", "limit: a number from 1"),
        ("/files?after=x", "after: the `next`"),
        ("/files?format=xml", "format: json or ndjson"),
        ("/files?nice=1", "'nice' is unknown; known are"),
        ("/files/changes?limit=1", "'limit' is unknown"),
        ("/claims?host=h", "'host' is unknown"),
    ],
)
def test_a_wrong_parameter_is_refused(served: Process, site: Site, path: str, said: str) -> None:
    del served
    reply, body = fetch(site, path)
    assert reply.status == 400
    assert said in json.loads(body)["error"]


def test_pages_are_stable_while_the_list_changes(served: Process, site: Site) -> None:
    del served
    scout = Scout(site, "h1", b"/spool", 1)
    scout.see([(b"k%03d" % number, number, T, 0) for number in range(100)])
    wait_for("all are there", lambda: len(names(site)) == 100)
    first = told(site, "/files?limit=50")
    scout.change([(b"a", 1, T, 0)], [b"k010", b"k049", b"k070"])
    wait_for("it has changed", lambda: "a" in names(site))
    rest = told(site, f"/files?limit=100&after={first['next']}")
    assert [file["filename"] for file in rest["files"]] == [
        f"k{number:03}" for number in range(50, 100) if number != 70
    ]


def test_a_scout_that_does_not_serve_is_left_out(served: Process, site: Site) -> None:
    one, two = Scout(site, "h1", b"/spool", 1), Scout(site, "h2", b"/in", 2)
    one.see([(b"one", 1, T, 0)])
    two.see([(b"two", 1, T, 0)])
    wait_for("both are there", lambda: names(site) == ["one", "two"])
    two.serve("the folder is gone")
    wait_for("one is left out", lambda: names(site) == ["one"])
    [claim] = [claim for claim in told(site, "/claims")["claims"] if claim["host"] == "h2"]
    assert (claim["serving"], claim["why"]) == (False, "the folder is gone")
    two.serve()
    wait_for("it is back", lambda: names(site) == ["one", "two"])
    one.stop(signal.SIGSTOP)
    wait_for("the silent one is left out", lambda: names(site) == ["two"])
    one.stop(signal.SIGCONT)
    wait_for("it is back", lambda: names(site) == ["one", "two"])
    two.end()
    wait_for("who left is gone", lambda: len(told(site, "/claims")["claims"]) == 1)
    assert names(site) == ["one"]
    served.send_signal(signal.SIGSTOP)
    try:
        wait_for("a silent broker is told", lambda: status(site, "/files") == 503)
        reply, body = fetch(site, "/files")
        assert reply.headers["Retry-After"] == "1"
        assert "the broker has been silent" in json.loads(body)["error"]
        assert status(site, "/claims") == status(site, "/files/changes") == 503
    finally:
        served.send_signal(signal.SIGCONT)
    wait_for("it is back", lambda: status(site, "/files") == 200)


def test_changes_are_told_as_they_happen(served: Process, site: Site) -> None:
    del served
    scout = Scout(site, "h1", b"/spool", 1)
    scout.see([(b"old", 1, T, 0)])
    wait_for("it is there", lambda: names(site) == ["old"])
    with events(site) as every, events(site, "?prefix=caf%E9&host=h1") as some:
        assert every.next()[0] == some.next()[0] == "reset"
        scout.change([(b"caf\xe9", 5, T, WRITING)])
        event, file = every.next()
        assert (event, file["size"], file["writing"]) == ("added", 5, True)
        assert base64.b64decode(file["filename_b64"]) == b"caf\xe9"
        assert some.next() == (event, file)
        scout.change([(b"caf\xe9", 6, T, 0), (b"other", 1, T, 0)])
        assert [every.next()[0], every.next()[0]] == ["changed", "added"]
        assert some.next()[0] == "changed"
        here = every.last
        scout.change(removed=[b"old", b"caf\xe9", b"never there"])
        removed = {"filename": "old", "host": "h1", "claim": "/spool"}
        assert ("removed", removed) in [every.next(), every.next()]
        assert some.next()[0] == "removed"
        scout.serve("unmounted")
        event, claim = every.next()
        assert (event, claim["claim"], claim["serving"]) == ("claim", "/spool", False)
        assert some.next()[0] == "claim"
    with events(site, last=here) as again:
        assert [again.next()[0] for _ in range(3)] == ["removed", "removed", "claim"]
        scout.end()
    with events(site, last="another-7") as unknown:
        event, data = unknown.next()
        assert (event, "not known any more" in data["why"]) == ("reset", True)


def test_a_reader_that_hangs_is_reset_and_keeps_nobody_waiting(served: Process, site: Site) -> None:
    del served
    scout = Scout(site, "h1", b"/spool", 1)
    scout.see([])
    with events(site) as quick, events(site) as slow:
        assert quick.next()[0] == slow.next()[0] == "reset"
        for count in range(20):
            rows = [(b"%d" % number + b"x" * 200, count, T, 0) for number in range(4000)]
            scout.change(rows)
            last = ("3999" + "x" * 200, count)
            while (told := quick.next()[1]) and (told.get("filename"), told.get("size")) != last:
                pass
        # The slow one has read nothing of 80,000 changes, more than are kept.
        said = [slow.next()[0]]
        while said[-1] != "reset":
            said.append(slow.next()[0])
        assert 0 < len(said) < 80_000
        scout.change([(b"last", 1, T, 0)])
        assert slow.next()[1]["filename"] == quick.next()[1]["filename"] == "last"


def test_the_terminal_lists_the_same(served: Process, site: Site) -> None:
    del served
    one, two = Scout(site, "h1", b"/spool", 1), Scout(site, "h2", b"/in", 2)
    one.see(ROWS)
    two.see([(b"m%04d" % number, 1, T, 0) for number in range(3000)])
    wait_for("all are there", lambda: len(names(site)) == 3004)

    def listed(*words: str) -> bytes:
        ended = site.place.run("ctl", "files", "--broker", site.endpoint, *words)
        assert (ended.code, ended.err) == (0, "")
        return os.fsencode(ended.out)

    expected = sorted([row[0] for row in ROWS] + [b"m%04d" % number for number in range(3000)])
    assert listed("-0") == b"".join(name + b"\0" for name in expected)
    assert listed() == b"".join(name + b"\n" for name in expected)
    lines = [json.loads(line) for line in listed("--json").splitlines()]
    assert lines == told(site, "/files")["files"]
    assert listed("--prefix", "m", "--limit", "2") == b"m0000\nm0001\n"
    assert listed("--prefix", os.fsdecode(b"caf\xe9")) == b"caf\xe9\xff\n"
    assert listed("--host", "h1", "--limit", "1") == b"a/x y+&%\n"
    two.serve("unmounted")
    ended = site.place.run("ctl", "files", "--broker", site.endpoint)
    assert ended.out.count("\n") == 5
    assert ended.err == "zfs-ctl: left out: /in on h2: unmounted\n"
    claims = site.ctl("claims")["claims"]
    assert [(claim["host"], claim["serving"]) for claim in claims] == [("h1", True), ("h2", False)]
    shown = site.place.run("ctl", "claims", "--broker", site.endpoint)
    assert (shown.code, "no: unmounted" in shown.out) == (0, True)


def test_the_terminal_follows_changes(served: Process, site: Site) -> None:
    scout = Scout(site, "h1", b"/spool", 1)
    scout.see([(b"b", 1, T, 0), (b"c", 1, T, 0)])
    out = site.place.folder / "followed"
    into = ("sh", "-c", f'exec "$@" >{out}', "sh")
    words = ("ctl", "files", "--follow", "--broker", site.endpoint)
    following = site.place.start(*words, prefix=into)
    wait_for("the list is shown", lambda: out.exists() and out.read_bytes() == b"+ b\n+ c\n")
    scout.change([(b"\xff", 1, T, 0), (b"b", 2, T, 0)], [b"c"])
    expected = b"+ b\n+ c\n- c\n+ \xff\n~ b\n"
    wait_for("changes are shown", lambda: len(out.read_bytes()) >= len(expected))
    assert out.read_bytes() == expected
    scout.serve("unmounted")
    scout.serve()
    scout.change(removed=[b"b"])
    wait_for("it goes on", lambda: out.read_bytes() == expected + b"- b\n")
    following.send_signal(signal.SIGINT)
    ended = site.place.end(following)
    assert ended.code == 130
    assert "/spool on h1: its files are left out from now on" in ended.err
    assert "/spool on h1: its files are listed again" in ended.err
    served.send_signal(signal.SIGTERM)
    site.place.end(served)
    nobody = site.place.run(*words, "--timeout", "0.5")
    assert nobody.code == 4


def test_thousands_of_connections_do_not_slow_the_bus(served: Process, site: Site) -> None:
    del served
    scout = Scout(site, "h1", b"/spool", 1)
    scout.see([], many=20_000)
    wait_for("all are there", lambda: len(names(site)) == 20_000)
    host, port = site.http.removeprefix("http://").split(":")
    crowd: list[socket.socket] = []
    try:
        for count in range(2_000):
            each = socket.create_connection((host, int(port)))
            path = ("/files", "/files?limit=1000", "/files/changes")[count % 3]
            each.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            crowd.append(each)
        # The bus knows nothing of them: a scout's change is acknowledged, commands are answered,
        # and the session of nobody is given up.
        scout.change([(b"new", 1, T, 0)])
        [claim] = site.ctl("claims")["claims"]
        assert (claim["state"], claim["files"]) == ("live", 20_001)
        broker = site.ctl("status")["broker"]
        # This command and the gateway's two.
        assert broker["clients"] <= 4
    finally:
        for each in crowd:
            each.close()
    wait_for("it serves again", lambda: "new" in names(site, "?prefix=new"))
