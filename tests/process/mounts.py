"""Small file systems, for full disks, quotas, and mounts that go away."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def run(program: str, *arguments: str | Path) -> None:
    """Run a program of the system's administrator."""
    found = shutil.which(program)
    assert found is not None
    subprocess.run([found, *arguments], check=True)


def mount(folder: Path, options: str = "size=64m") -> None:
    """Mount a tmpfs on a folder, or mount it anew with other options."""
    run("mount", "-t", "tmpfs", "-o", f"mode=700,{options}", "zw-test", folder)


def bind(source: Path, folder: Path) -> None:
    """Show a folder at another place."""
    run("mount", "--bind", source, folder)


def unmount(folder: Path) -> None:
    """Unmount at once; who has it open still sees it."""
    run("umount", "-l", folder)


@contextmanager
def tmpfs(folder: Path, options: str = "size=64m") -> Iterator[Path]:
    """A tmpfs on a new folder."""
    folder.mkdir(mode=0o700)
    mount(folder, options)
    try:
        yield folder
    finally:
        unmount(folder)


@contextmanager
def image(folder: Path, kind: str, size: int) -> Iterator[Path]:
    """A file system of this kind and so many bytes, in a file beside a new folder."""
    file = folder.with_suffix(".image")
    with file.open("wb") as made:
        made.truncate(size)
    run(f"mkfs.{kind}", "-q", file)
    folder.mkdir(mode=0o700)
    run("mount", "-o", "loop", file, folder)
    try:
        yield folder
    finally:
        # Not lazily: the loop device goes with it.
        run("umount", folder)
        file.unlink()
