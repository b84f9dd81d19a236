"""Copies of the checkout to work on."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Copy = Callable[[Path], Path]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout that these tests are in."""
    return Path(__file__).parents[2]


@pytest.fixture(scope="session")
def copy_checkout(root: Path) -> Copy:
    """Copies what git knows or would add to a new folder, as a clone has it, edits included."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 -- the caller's git
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    )
    names = [name for name in listing.stdout.split("\0") if name]

    def copy(target: Path) -> Path:
        for name in names:
            source = root / name
            if source.exists():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target / name, follow_symlinks=False)
        return target

    return copy


@pytest.fixture(scope="module")
def public_folder() -> Iterator[Path]:
    """A new folder that every user can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="house-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
