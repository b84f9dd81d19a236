"""A sink of another package: made of its page in the docs, installed by pip, found, tested."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/sinks.md"
NAMED = re.compile(
    r"`([\w.]+)`[^`\n]*:\n\n```(?:python|toml)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
PYTHON = sys.executable


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The package's folder: each file that the page shows."""
    folder = tmp_path / "package"
    folder.mkdir()
    files = dict(NAMED.findall(PAGE.read_text()))
    assert set(files) == {"shelf.py", "pyproject.toml", "test_shelf.py"}
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def site(tmp_path: Path, package: Path) -> Path:
    """Where pip has installed it."""
    folder = tmp_path / "site"
    pip = (PYTHON, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps")
    subprocess.run(
        [*pip, "--no-build-isolation", "--disable-pip-version-check", "--target", folder, package],
        check=True,
        env={**os.environ, "PIP_ROOT_USER_ACTION": "ignore"},
    )
    return folder


@pytest.mark.slow
def test_a_sink_of_another_package_is_found_and_passes_the_suite(
    site: Path, package: Path, tmp_path: Path
) -> None:
    (package / "shelf.py").unlink()
    ran = subprocess.run(
        [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", tmp_path / "temp"],
        cwd=package,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"^(\d+) passed in", ran.stdout, re.MULTILINE)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert found is not None
    assert int(found[1]) > 80


def test_a_walk_sends_to_it(site: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "below").mkdir(parents=True)
    for number in range(30):
        (data / "below" / f"f{number}").write_bytes(b"%d" % number)
    (data / "large").write_bytes(b"x" * (2 << 20))
    words = [PYTHON, "-m", "zfs_walk", "walk", str(data), "--to", f"shelf://{tmp_path}/shelf.db"]
    more = ["--to-options", "{wait: 60}", "--json", "-q", "--state", str(tmp_path / "state")]
    wanted = {path.relative_to(data).as_posix(): path.read_bytes() for path in data.rglob("*[0-9e]")
              if path.is_file()}  # fmt: skip
    for sent in (len(wanted), 0):
        ran = subprocess.run(
            [*words, *more],
            env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        told = json.loads(ran.stdout)["sending"]
        assert (told["sent"]["files"], told["there"]["files"]) == (sent, len(wanted))
        with closing(sqlite3.connect(tmp_path / "shelf.db")) as shelf:
            rows = shelf.execute("SELECT name, content FROM file").fetchall()
        assert {name.decode(): content for name, content in rows} == wanted


def test_its_wrong_options_are_told_as_those_of_ours(site: Path) -> None:
    code = "from zfs_walk.sinks.choose import open_sink; open_sink('shelf:///x', {'weit': 1})"
    ran = subprocess.run(
        [PYTHON, "-c", code],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "shelf:// has no option `weit`: do you mean `wait`?" in ran.stderr
