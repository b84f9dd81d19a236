"""Every sh block of README.md and docs/ runs as written, with the installed programs.

The blocks of a page run in their order in one scratch folder, so that a page can tell a story; a
page's run starts with its first block, so select whole pages. A comment in front of a block says
what else it is:

    <!-- no-run: why -->       is not run
    <!-- background -->        starts a server, which is ended after the page's last block
    <!-- background: until COMMAND -->     the same; the next block waits until COMMAND succeeds
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"(?:^<!--\s*(?P<kind>no-run|background)(?::\s*(?P<detail>[^\n]*?))?\s*-->\n\s*)?"
    r"^```sh\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
MARK = re.compile(r"^<!--\s*(?:no-run|background)\b", re.MULTILINE)
READY_WITHIN = 30.0
"""Seconds: a broker is up in one; a busy test machine takes its time."""


@dataclass(frozen=True)
class Block:
    """A sh block of a page."""

    page: str
    line: int
    code: str
    kind: str
    detail: str


@dataclass
class Scene:
    """The scratch folder of a page, and the servers that its blocks started."""

    folder: Path
    servers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def log(self) -> Path:
        """What the servers said."""
        return self.folder.parent / "server.log"

    def command(self, code: str) -> tuple[list[str], dict[str, str]]:
        """The shell and the environment for a block: a user's, with a home of its own."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "PYTEST", "TOX", "XDG_", "ZFS_WALK_"))
        }
        programs = Path(sys.executable).parent
        home = self.folder.parent / "home"
        own = {
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / ".local/state"),
            "PATH": f"{programs}:{os.environ['PATH']}",
        }
        return ["/bin/sh", "-euc", code], kept | own

    def run(self, code: str) -> subprocess.CompletedProcess[str]:
        """Runs code to its end."""
        shell, environment = self.command(code)
        return subprocess.run(
            shell,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def start(self, code: str, until: str) -> None:
        """Starts a server, and waits until it is ready.

        Args:
            code: What starts it.
            until: A command that succeeds once it is ready; may be empty.
        """
        shell, environment = self.command(code)
        with self.log.open("ab") as log:
            server = subprocess.Popen(
                shell,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.servers.append(server)
        deadline = time.monotonic() + READY_WITHIN
        while until and self.run(until).returncode:
            assert server.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, f"not ready: {until}"
            time.sleep(0.1)

    def end(self) -> None:
        """Ends the servers; each must still be there, and go when asked."""
        ended = [server for server in self.servers if server.poll() is not None]
        for server in self.servers:
            if server not in ended:
                os.killpg(server.pid, signal.SIGTERM)
        for server in self.servers:
            try:
                server.wait(timeout=READY_WITHIN)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                raise
        assert not ended, self.log.read_text()


def read_blocks(page: Path) -> list[Block]:
    """The sh blocks of a page."""
    text = page.read_text()
    blocks = [
        Block(
            page=str(page.relative_to(ROOT)),
            line=text.count("\n", 0, match.start("code")),
            code=match["code"],
            kind=match["kind"] or "run",
            detail=match["detail"] or "",
        )
        for match in BLOCK.finditer(text)
    ]
    marked = [block for block in blocks if block.kind != "run"]
    assert len(marked) == len(MARK.findall(text)), f"{page}: a mark without a sh block after it"
    return blocks


BLOCKS = [block for page in PAGES if page.exists() for block in read_blocks(page)]


@pytest.fixture(scope="module")
def scene(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """The scene of one page."""
    base = tmp_path_factory.mktemp(Path(str(request.param)).stem)
    for name in ("home", "scratch"):
        (base / name).mkdir()
    scene = Scene(base / "scratch")
    yield scene
    scene.end()


@pytest.mark.parametrize(
    ("scene", "block"),
    [
        pytest.param(block.page, block, id=f"{block.page}:{block.line}")
        for block in BLOCKS
        if block.kind != "no-run"
    ],
    indirect=["scene"],
    scope="module",
)
def test_a_block_runs_as_written(scene: Scene, block: Block) -> None:
    if block.kind == "background":
        scene.start(block.code, block.detail.removeprefix("until "))
    else:
        done = scene.run(block.code)
        assert done.returncode == 0, done.stdout


def test_a_block_that_is_not_run_says_why() -> None:
    assert not [block for block in BLOCKS if block.kind == "no-run" and not block.detail]


def test_blocks_are_found_with_their_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "```sh\none\n```\n<!-- no-run: needs a cluster -->\n```sh\ntwo\n```\ntext\n"
        "<!-- background: until three --check -->\n\n```sh\nthree\n```\n```python\nfour\n```\n"
    )
    assert [(block.code, block.kind, block.detail) for block in read_blocks(page)] == [
        ("one\n", "run", ""),
        ("two\n", "no-run", "needs a cluster"),
        ("three\n", "background", "until three --check"),
    ]
    page.write_text("<!-- no-run: lost -->\ntext\n```sh\none\n```\n")
    with pytest.raises(AssertionError, match="without a sh block"):
        read_blocks(page)
