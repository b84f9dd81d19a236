"""bin/zfs-walk and its links: first runs, later runs, and what stands in their way.

They install from the package index, as a user's first run does; pip's cache is shared.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import zfs_walk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

Copy = Callable[[Path], Path]
Done = subprocess.CompletedProcess[str]
NOBODY = 65534
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass
class User:
    """Someone with a home folder who calls programs; nothing of this process's Python is theirs."""

    home: Path
    path: str = os.environ["PATH"]
    prefix: list[str] = field(default_factory=list)
    extra: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """The caller's environment, less what belongs to its Python and its home."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "PYTEST", "TOX", "XDG_", "ZFS_WALK_", "VIRTUAL_ENV"))
        }
        cache = {"PIP_CACHE_DIR": str(self.home / ".cache/pip")}
        return kept | cache | {"HOME": str(self.home), "PATH": self.path} | self.extra

    def run(self, program: Path, *arguments: str, cwd: Path | None = None) -> Done:
        """Runs a program to its end."""
        return subprocess.run(
            [*self.prefix, program, *arguments],
            cwd=cwd or self.home,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def start(self, program: Path) -> subprocess.Popen[str]:
        """Starts a program in a session of its own; its standard input stays open."""
        return subprocess.Popen(
            [*self.prefix, program],
            cwd=self.home,
            env=self.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


@pytest.fixture(scope="module")
def user(public_folder: Path) -> User:
    """The user who runs the tests."""
    home = public_folder / "home"
    home.mkdir()
    return User(home)


@pytest.fixture(scope="module")
def first_runs(user: User, public_folder: Path, copy_checkout: Copy) -> tuple[Path, list[Done]]:
    """A checkout (with spaces in its path), and what three first runs at once had to say."""
    checkout = copy_checkout(public_folder / "a fresh checkout")
    programs = [checkout / "bin" / name for name in ("zfs-walk", "zfs-broker", "zfs-agent")]
    with ThreadPoolExecutor() as pool:
        return checkout, list(pool.map(lambda path: user.run(path, "--version"), programs))


@pytest.fixture
def checkout(first_runs: tuple[Path, list[Done]]) -> Path:
    """A checkout that is set up."""
    return first_runs[0]


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder with the commands of the system, less its Pythons."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for source in (Path("/bin"), Path("/usr/bin")):
        for command in source.iterdir():
            link = folder / command.name
            if "python" not in command.name and not link.is_symlink():
                link.symlink_to(command)
    return folder


def environments(base: Path) -> set[Path]:
    """The environments in a folder of them."""
    return {mark.parent for mark in base.glob("*/ready")}


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Polls until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def assert_version(done: Done) -> None:
    """The program ran, and nothing but its own output is on stdout."""
    assert done.returncode == 0, done.stderr
    assert zfs_walk.__version__ in done.stdout
    assert "set" not in done.stdout.split()


def make_program_wait(checkout: Path, name: str) -> None:
    """Makes a program of the checkout wait for the end of its standard input."""
    module = checkout / f"zfs_walk/cli/{name}.py"
    module.write_text(
        "import sys\n\n\ndef run():\n    print('waits', flush=True)\n    sys.stdin.read()\n"
    )


def test_first_runs_at_once_set_up_once_and_all_succeed(
    first_runs: tuple[Path, list[Done]],
) -> None:
    checkout, results = first_runs
    for done in results:
        assert_version(done)
    assert sum("setting up" in done.stderr for done in results) == 1
    assert len(environments(checkout / ".venv")) == 1


def test_a_later_run_says_nothing_and_starts_no_python_to_check(
    user: User, checkout: Path, tmp_path: Path
) -> None:
    trap = tmp_path / "python3"
    trap.write_text(f"#!/bin/sh\n: >'{tmp_path}/started'\nexit 1\n")
    trap.chmod(0o755)
    for minor in range(11, 15):
        (tmp_path / f"python3.{minor}").symlink_to(trap)
    done = User(user.home, f"{tmp_path}:{user.path}").run(checkout / "bin/zfs-walk", "--version")
    assert_version(done)
    assert not done.stderr
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("name", ["zfs-walk", "zfs-broker", "zfs-agent", "zfs-ctl", "zfs-catalog"])
def test_every_program_runs(user: User, checkout: Path, name: str) -> None:
    done = user.run(checkout / "bin" / name, "--version")
    assert_version(done)


def test_links_to_links_from_other_folders_are_followed(
    user: User, checkout: Path, tmp_path: Path
) -> None:
    (tmp_path / "first").symlink_to(os.path.relpath(checkout / "bin/zfs-broker", tmp_path))
    (tmp_path / "second").symlink_to("first")
    linked = user.run(tmp_path / "second", "--help", cwd=tmp_path)
    direct = user.run(checkout / "bin/zfs-broker", "--help")
    assert linked.returncode == 0
    assert linked.stdout == direct.stdout


def test_an_edit_takes_effect_at_once(user: User, checkout: Path) -> None:
    module = checkout / "zfs_walk/cli/ctl.py"
    original = module.read_text()
    module.write_text("def run():\n    print('edited')\n")
    done = user.run(checkout / "bin/zfs-ctl")
    module.write_text(original)
    assert (done.stdout, done.stderr) == ("edited\n", "")


def test_a_change_of_the_metadata_makes_a_new_environment_and_leaves_the_running_ones(
    user: User, public_folder: Path, copy_checkout: Copy
) -> None:
    checkout = copy_checkout(public_folder / "pulled")
    make_program_wait(checkout, "agent")
    with user.start(checkout / "bin/zfs-agent") as running:
        assert running.stdout
        assert running.stdout.readline() == "waits\n"
        [old] = environments(checkout / ".venv")
        change_metadata(checkout)
        done = user.run(checkout / "bin/zfs-walk", "--version")
        assert_version(done)
        assert "setting up" in done.stderr
        both = environments(checkout / ".venv")
        assert len(both) == 2
        assert old in both
        running.communicate(timeout=30)
        assert running.returncode == 0
    change_metadata(checkout)
    assert_version(user.run(checkout / "bin/zfs-walk", "--version"))
    [new] = environments(checkout / ".venv")
    assert new not in both
    assert not old.exists()


def change_metadata(checkout: Path) -> None:
    """Changes setup.cfg, as a pull may do."""
    with (checkout / "setup.cfg").open("a") as settings:
        settings.write("# changed\n")


def test_a_killed_first_run_is_made_good_by_the_next(
    user: User, public_folder: Path, copy_checkout: Copy
) -> None:
    checkout = copy_checkout(public_folder / "killed")
    with user.start(checkout / "bin/zfs-walk") as first:
        wait_until(lambda: list(checkout.glob(".venv/*/lib/python*/site-packages/pip")))
        os.killpg(first.pid, signal.SIGKILL)
    assert not environments(checkout / ".venv")
    done = user.run(checkout / "bin/zfs-walk", "--version")
    assert_version(done)
    assert "setting up" in done.stderr


def test_an_installer_that_outlives_its_killed_first_run_is_waited_for(
    user: User, public_folder: Path, copy_checkout: Copy
) -> None:
    checkout = copy_checkout(public_folder / "orphaned")
    with user.start(checkout / "bin/zfs-walk") as first:
        wait_until(lambda: list(checkout.glob(".venv/*/lib/python*/site-packages/pip")))
        first.kill()
        first.wait()
        done = user.run(checkout / "bin/zfs-walk", "--version")
    assert_version(done)
    assert "waiting for another set-up" in done.stderr


def test_nothing_is_written_into_a_checkout_that_is_not_the_callers(
    user: User, public_folder: Path, copy_checkout: Copy
) -> None:
    checkout = copy_checkout(public_folder / "shared")
    if os.geteuid() == 0:
        os.chown(checkout, NOBODY, NOBODY)
    else:
        checkout.chmod(0o555)
    before = sorted(checkout.rglob("*"))
    done = user.run(checkout / "bin/zfs-walk", "--version")
    checkout.chmod(0o755)
    assert_version(done)
    assert sorted(checkout.rglob("*")) == before
    [environment] = environments(user.home / ".cache/zfs_walk/bin")
    assert (environment / "bin/zfs-walk").exists()
    assert not (user.home / ".cache/zfs_walk/bin/copy").exists()


@pytest.mark.root
def test_a_plain_user_runs_it_with_the_systems_python(
    public_folder: Path, copy_checkout: Copy
) -> None:
    home = public_folder / "plain"
    checkout = copy_checkout(home / "zfs_walk")
    subprocess.run(["/bin/chown", "-R", f"{NOBODY}:{NOBODY}", home], check=True)
    prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    done = User(home, SYSTEM_PATH, prefix).run(checkout / "bin/zfs-walk", "--version")
    assert_version(done)
    [environment] = environments(checkout / ".venv")
    assert environment.stat().st_uid == NOBODY


def test_a_failed_set_up_names_its_log_and_leaves_no_environment(
    user: User, public_folder: Path, copy_checkout: Copy
) -> None:
    checkout = copy_checkout(public_folder / "offline")
    offline = User(user.home, extra={"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""})
    done = offline.run(checkout / "bin/zfs-walk", "--version")
    log = checkout / ".venv/setup.log"
    assert done.returncode == 69
    assert not done.stdout
    assert str(log) in done.stderr
    assert "setuptools" in log.read_text()
    assert {path.name for path in (checkout / ".venv").iterdir()} == {"lock", "setup.log"}


def test_without_a_python_it_says_what_to_install(
    user: User, public_folder: Path, copy_checkout: Copy, tools: Path
) -> None:
    checkout = copy_checkout(public_folder / "bare")
    done = User(user.home, str(tools), extra={"PYENV_ROOT": "/nowhere"}).run(
        checkout / "bin/zfs-walk"
    )
    assert done.returncode == 69
    assert "no Python of 3.11 or newer" in done.stderr


def test_without_pythons_venv_it_names_the_package_pipx_and_uv(
    user: User, public_folder: Path, copy_checkout: Copy, tools: Path
) -> None:
    checkout = copy_checkout(public_folder / "no venv")
    without_ensurepip = tools / "python3"
    real = shutil.which("python3", path=user.path)
    without_ensurepip.write_text(
        f"#!/bin/sh\nexec {real} -I -c \"import sys; sys.modules['ensurepip'] = None\n$3\"\n"
    )
    without_ensurepip.chmod(0o755)
    done = User(user.home, str(tools), extra={"PYENV_ROOT": "/nowhere"}).run(
        checkout / "bin/zfs-walk"
    )
    assert done.returncode == 69
    assert "python3-venv" in done.stderr
    assert "pipx install" in done.stderr
    assert "uv tool install" in done.stderr


def test_without_flock_it_names_its_package(
    user: User, public_folder: Path, copy_checkout: Copy, tools: Path
) -> None:
    checkout = copy_checkout(public_folder / "no flock")
    (tools / "flock").unlink()
    done = User(user.home, str(tools)).run(checkout / "bin/zfs-walk")
    assert done.returncode == 69
    assert "util-linux" in done.stderr
