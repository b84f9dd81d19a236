"""Files and claims in JSON: the documented keys, and names that are not UTF-8."""

import base64
import json
from pathlib import Path

from zfs_walk.bus.filesjson import claim_fields, file_fields, row_fields
from zfs_walk.protocol.files import LINK, WRITING, ClaimLine

DOCUMENT = Path(__file__).parents[3] / "docs/json.md"

LINE = ClaimLine(
    host="h1", path=b"/spool", scout="scout-1", pid=70, session=3, state="live", since_ms=5000,
    monitor="fanotify", serving=True, why="", generation=2, version=9, files=100,
)  # fmt: skip


def test_a_plain_file_has_its_place_and_its_figures() -> None:
    fields = row_fields(b"in/a.dat", "h1", b"/spool", 12, 1_700_000_000_250_000_000, 0)
    assert fields == {
        "filename": "in/a.dat", "host": "h1", "claim": "/spool", "size": 12,
        "mtime": 1_700_000_000.25, "mtime_ns": 1_700_000_000_250_000_000,
    }  # fmt: skip


def test_only_what_is_so_is_said() -> None:
    assert row_fields(b"a", "h", b"/", 0, 0, WRITING)["writing"] is True
    assert "link" not in row_fields(b"a", "h", b"/", 0, 0, WRITING)
    assert row_fields(b"a", "h", b"/", 0, 0, LINK)["link"] is True
    assert "writing" not in row_fields(b"a", "h", b"/", 0, 0, LINK)


def test_names_that_are_not_utf_8_survive() -> None:
    fields = json.loads(json.dumps(file_fields(b"caf\xe9/\xff", "h1", b"/sp\xf0")))
    assert fields["filename"] == "caf\ufffd/\ufffd"
    assert base64.b64decode(fields["filename_b64"]) == b"caf\xe9/\xff"
    assert base64.b64decode(fields["claim_b64"]) == b"/sp\xf0"
    # The character itself, in valid UTF-8, is no loss.
    assert "filename_b64" not in file_fields("\ufffd".encode(), "h1", b"/")


def test_a_claim_says_who_watches_and_how_well() -> None:
    fields = claim_fields(LINE, 100, 5.0)
    assert (fields["host"], fields["claim"], fields["scout"]) == ("h1", "/spool", "scout-1")
    assert (fields["serving"], fields["files"], fields["since_seconds"]) == (True, 100, 5.0)


def test_the_documented_keys_are_those_that_there_are() -> None:
    fields = {**row_fields(b"\xff", "h", b"/\xff", 1, 1, WRITING | LINK),
              **claim_fields(LINE, 0, 0.0)}  # fmt: skip
    section = DOCUMENT.read_text().split("## Files and claims")[1].split("\n## ")[0]
    keys = {
        word.strip("`")
        for line in section.splitlines()
        if line.startswith("| `")
        for word in line.split("|")[1].split()
        if word.startswith("`")
    }
    assert {key.rstrip(",").strip("`") for key in keys} == set(fields)
