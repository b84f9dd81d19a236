"""What stands in one place only, and what must be a link."""

import re
import subprocess
from importlib import metadata
from pathlib import Path

import zfs_walk


def test_the_version_stands_in_one_place_only(root: Path) -> None:
    quoted = re.compile(rf"""["']{re.escape(zfs_walk.__version__)}["']""")
    modules = [
        path for path in (root / "zfs_walk").rglob("*.py") if quoted.search(path.read_text())
    ]
    assert modules == [root / "zfs_walk/__init__.py"]
    assert "version = attr: zfs_walk.__version__" in (root / "setup.cfg").read_text()


def test_the_installed_package_is_the_one_tested(root: Path) -> None:
    assert not Path(zfs_walk.__file__).is_relative_to(root / "zfs_walk")
    assert metadata.version("zfs_walk") == zfs_walk.__version__
    assert (Path(zfs_walk.__file__).parent / "py.typed").exists()


def test_the_changelog_knows_the_version(root: Path) -> None:
    assert f"\n## {zfs_walk.__version__} (" in (root / "CHANGELOG.md").read_text()


def test_every_program_in_bin_is_one_file(root: Path) -> None:
    scripts = metadata.entry_points(group="console_scripts")
    programs = {script.name for script in scripts if script.dist and script.dist.name == "zfs_walk"}
    assert {path.name for path in (root / "bin").iterdir()} == programs | {"test"}
    for name in programs - {"zfs-walk"}:
        assert (root / "bin" / name).readlink() == Path("zfs-walk")


def test_the_shell_files_parse_as_posix(root: Path) -> None:
    for name in ("bin/zfs-walk", "bin/test"):
        subprocess.run(["/bin/sh", "-n", root / name], check=True)
    subprocess.run(["/bin/bash", "-n", root / ".ci/run"], check=True)
