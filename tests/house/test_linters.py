"""A violation planted in a copy of the package is found, by the linter and under the name meant."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ARROWS = "The arrows of the folders"
ZEROMQ = "ZeroMQ is imported in the bus only"
CORES = "The cores import no socket, file, process or clock"


@pytest.fixture
def copy(tmp_path: Path, copy_checkout: Callable[[Path], Path]) -> Path:
    """A copy of the checkout."""
    return copy_checkout(tmp_path / "copy")


def lint(folder: Path, tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a tool of this environment in the folder."""
    return subprocess.run(
        [Path(sys.executable).parent / tool, *arguments],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )


def plant(path: Path, code: str) -> None:
    """Appends code to a module, which need not exist."""
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as module:
        module.write(code)


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ('"""A module."""\n\nimport os\n', "F401"),
        ('"""A module."""\n\nprint("debug")\n', "T201"),
        ('"""A module."""\n\n\ndef halve(figure):\n    return figure / 2\n', "ANN001"),
        ("LIMIT = 3\n", "D100"),
    ],
)
def test_ruff_finds_a_broken_rule(copy: Path, code: str, rule: str) -> None:
    plant(copy / "zfs_walk/planted.py", code)
    found = lint(copy, "ruff", "check", "--no-cache", "--output-format=concise", ".")
    assert found.returncode == 1
    assert any("zfs_walk/planted.py" in line and rule in line for line in found.stdout.splitlines())


def test_ruff_finds_a_module_that_is_not_formatted(copy: Path) -> None:
    plant(copy / "zfs_walk/planted.py", '"""A module."""\nLIMIT=3\n')
    found = lint(copy, "ruff", "format", "--no-cache", "--check", ".")
    assert found.returncode == 1
    assert "zfs_walk/planted.py" in found.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ('def answer() -> int:\n    return "42"\n', "return-value"),
        ("def answer():\n    return 42\n", "no-untyped-def"),
        ("answer: int = 42  # type: ignore\n", "unused-ignore"),
    ],
)
def test_mypy_finds_a_wrong_or_missing_type(copy: Path, code: str, rule: str) -> None:
    plant(copy / "zfs_walk/planted.py", code)
    found = lint(copy, "mypy", "--cache-dir=/dev/null", "zfs_walk/planted.py")
    assert found.returncode == 1
    assert "zfs_walk/planted.py" in found.stdout
    assert f"[{rule}]" in found.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "code", "contract"),
    [
        ("protocol/planted.py", "import zfs_walk.scan", ARROWS),
        ("scan/planted.py", "import zfs_walk.protocol", ARROWS),
        ("bus/planted.py", "import zfs_walk.broker", ARROWS),
        ("catalog/planted.py", "import zfs_walk.bus", ARROWS),
        ("agents/planted.py", "import zfs_walk.broker", ARROWS),
        ("broker/planted.py", "import zfs_walk.agents", ARROWS),
        ("agents/planted.py", "import zfs_walk.config", ARROWS),
        ("agents/planted.py", "import zfs_walk.cli", ARROWS),
        ("errors.py", "import zfs_walk.protocol", ARROWS),
        ("misc/__init__.py", "LIMIT = 3", ARROWS),
        (
            "broker/planted.py",
            "import zfs_walk.scan",
            "The broker knows the bus and the protocol, and nothing of files",
        ),
        ("gateway/planted.py", "import zfs_walk.broker", ARROWS),
        (
            "gateway/planted.py",
            "import zfs_walk.catalog",
            "The gateway knows the bus and the protocol, and nothing of files",
        ),
        (
            "catalog/planted.py",
            "import zfs_walk.protocol",
            "The catalog knows the scanners, and nothing of the network",
        ),
        (
            "bus/planted.py",
            "import zfs_walk.scan",
            "The bus knows the protocol, and nothing of files",
        ),
        (
            "config/planted.py",
            "import zfs_walk.scan",
            "The settings know nothing but the errors",
        ),
        ("agents/planted.py", "import zmq", ZEROMQ),
        ("cli/planted.py", "import zmq.asyncio", ZEROMQ),
        ("broker/core.py", "import sqlite3", CORES),
        ("agents/walker/core.py", "import time", CORES),
        ("agents/walker/unit.py", "from zfs_walk.protocol import planted", CORES),
    ],
)
def test_import_linter_finds_an_import_against_the_arrows(
    copy: Path, module: str, code: str, contract: str
) -> None:
    plant(copy / "zfs_walk/protocol/planted.py", "import socket\n")
    plant(copy / "zfs_walk" / module, f"\n{code}\n")
    found = lint(copy, "lint-imports", "--no-cache")
    assert found.returncode == 1
    assert f"{contract} BROKEN" in " ".join(found.stdout.split())
