"""The command zfs-catalog, as a process."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from zfs_walk import __version__
from zfs_walk.catalog.manifest import load

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run() -> Run:
    def start(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "zfs_walk.cli.catalog", *map(str, arguments)],
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
        )

    return start


def test_info_shows_run_totals_errors_and_segments(run: Run, catalog: Path) -> None:
    done = run("info", catalog)
    assert (done.returncode, done.stderr) == (0, "")
    lines = {" ".join(line.split()) for line in done.stdout.splitlines()}
    assert {
        "run 7 (DONE_WITH_ERRORS)",
        "root /data",
        "root /odd\ufffd",
        "entries 600",
        "size 179,700 bytes",
        "errors 2",
        "denied 1",
        "e.g. /data/secret: Permission denied",
        "e.g. /odd\ufffd/na\\nme\ufffd: Input/output error",
    } <= lines
    assert "2 with 602 rows" in done.stdout


def test_info_as_json_is_the_manifest(run: Run, catalog: Path) -> None:
    assert json.loads(run("info", catalog, "--json").stdout) == load(catalog).to_json()


def test_info_verifies_on_request(run: Run, catalog: Path) -> None:
    done = run("info", catalog, "--verify")
    assert (done.returncode, done.stderr) == (0, "verified 2 segments\n")
    [name, _] = [segment.name for segment in load(catalog).segments]
    path = catalog / "segments" / name
    content = bytearray(path.read_bytes())
    content[9] ^= 1
    path.write_bytes(content)
    assert run("info", catalog).returncode == 0
    done = run("info", catalog, "--verify")
    assert done.returncode == 9
    assert f"1 of 2 segments are damaged: {name}: its checksum" in done.stderr


def test_query_prints_an_aligned_table(run: Run, catalog: Path) -> None:
    sql = "select path, size, name_raw, error from files where ino in (7, 123) order by ino"
    done = run("query", catalog, sql)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "path            size  name_raw  error",
        "--------------  ----  --------  -----",
        "/data/file-7       7  NULL      NULL",
        "/data/file-123   123  NULL      NULL",
    ]


def test_a_name_can_not_play_with_the_terminal(run: Run, catalog: Path) -> None:
    done = run("query", catalog, "select 'a' || chr(10) || chr(27) || '[2J' as name")
    assert done.stdout.splitlines() == ["name", "----------", r"a\n\x1b[2J"]


def test_query_prints_lines_of_json(run: Run, catalog: Path) -> None:
    sql = (
        "select path, name_raw, errno, errno, 'nan'::double as n, 1.50::decimal(9, 2) as d,"
        " [1, null] as l, {'k': '\xfe'} as s from errors order by errno"
    )
    done = run("query", catalog, sql, "--json")
    assert done.returncode == 0
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    rest = {"n": "nan", "d": "1.50", "l": [1, None], "s": {"k": "\xfe"}}
    assert rows == [
        {"path": "/odd\ufffd/na\nme\ufffd", "name_raw": "bmEKbWX+", "errno": 5, "errno_1": 5}
        | rest,
        {"path": "/data/secret", "name_raw": None, "errno": 13, "errno_1": 13} | rest,
    ]


@pytest.mark.parametrize(("limit", "lines"), [(0, 2), (3, 5), (1000, 602)])
def test_limit_ends_the_output(run: Run, catalog: Path, limit: int, lines: int) -> None:
    done = run("query", catalog, "select ino from files", "--limit", str(limit))
    assert len(done.stdout.splitlines()) == lines


def test_rows_after_those_that_gave_the_widths_are_printed_too(run: Run, catalog: Path) -> None:
    done = run("query", catalog, "select range as n from range(2500)")
    assert [line.strip() for line in done.stdout.splitlines()[2:]] == [str(n) for n in range(2500)]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["query", "{catalog}", "selec 1"], 2, "zfs-catalog: Parser Error: syntax error"),
        (["query", "{catalog}"], 2, "Missing argument 'SQL'"),
        (["query", "{catalog}/segments", "select 1"], 9, "no manifest.json"),
        (["info", "{catalog}/nothing"], 9, "no manifest.json"),
        (["inof"], 2, "No such command"),
    ],
)
def test_errors_go_to_stderr_with_their_exit_code(
    run: Run,
    catalog: Path,
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    done = run(*(argument.format(catalog=catalog) for argument in arguments))
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_package_is_told_with_exit_code_10(catalog: Path) -> None:
    code = "import sys; sys.modules['duckdb'] = None; from zfs_walk.cli.catalog import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", code, "query", str(catalog), "from files"],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 10
    assert "pip install 'zfs_walk[catalog]'" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["info"], ["query"]])
def test_help_has_examples_and_exit_codes_and_needs_no_package(arguments: list[str]) -> None:
    code = (
        "import sys; sys.modules['duckdb'] = sys.modules['pyarrow'] = None;"
        "from zfs_walk.cli.catalog import run; run()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments, "--help"],
        capture_output=True,
        check=True,
        text=True,
    )
    assert "Example" in done.stdout
    assert "\n    9   the folder is no catalog, or it is damaged\n" in done.stdout


def test_the_version_is_told(run: Run) -> None:
    assert run("--version").stdout.startswith(f"zfs_walk {__version__}, scanner: ")
