"""Places, sites and trees for tests with real processes."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process import trees
from tests.process.ledger import Ledger
from tests.process.loading import Loading
from tests.process.mirroring import Mirrored, mirroring
from tests.process.place import Brake, Place, Site, places, remove, wait_for


@pytest.fixture
def place() -> Iterator[Place]:
    yield from places()


@pytest.fixture
def site(place: Place) -> Iterator[Site]:
    made = Site(place)
    yield made
    made.close()


@pytest.fixture
def quick_site(site: Site) -> Site:
    """A site whose broker gives up a silent agent after two seconds."""
    site.start_broker("--heartbeat", "0.3", "--lease-ttl", "2", "--commit-interval", "1")
    return site


@pytest.fixture
def loading(place: Place) -> Loading:
    """A load generator with a folder to load."""
    target = place.folder / "target"
    target.mkdir()
    return Loading(place, target)


@pytest.fixture(scope="session")
def forest() -> Iterator[Path]:
    """A folder for trees that several tests read."""
    parent = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="zw-trees-", dir=parent if parent.is_dir() else None))
    folder.chmod(0o755)
    yield folder
    remove(folder)


@pytest.fixture(scope="session")
def tree(forest: Path) -> Path:
    """1,555 directories with four files each; with the slow shim a walk of seconds."""
    return trees.bushy(forest / "tree", width=6, depth=4, files=4)


@pytest.fixture(scope="session")
def million() -> Iterator[Path]:
    """A directory with 1,000,000 names, where there is room for them."""
    places = [Path("/dev/shm"), Path(tempfile.gettempdir())]
    roomy = [place for place in places if place.is_dir() and has_room(place, 1_200_000)]
    if not roomy:
        pytest.skip("needs a file system with room for 1,200,000 files")
    folder = Path(tempfile.mkdtemp(prefix="zw-trees-", dir=roomy[0]))
    trees.touch(folder, 1_000_000)
    yield folder
    remove(folder)


def has_room(place: Path, files: int) -> bool:
    """So many files can be made; file systems without a limit say 0 of 0."""
    found = os.statvfs(place)
    return not found.f_files or found.f_favail > files


@pytest.fixture(scope="session")
def trap(forest: Path) -> Path:
    """85 directories and one named ``stuck``, for the shim to hang or to crash in."""
    root = trees.bushy(forest / "trap", width=4, depth=3, files=4)
    trees.wide(root / "d1" / "stuck", 3, 2)
    return root


@pytest.fixture(scope="session")
def shim(forest: Path) -> Path:
    """A library for LD_PRELOAD: a file system that is slow, hangs or kills."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    library = forest / "shim.so"
    source = Path(__file__).with_name("shim.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.fixture
def slow(shim: Path) -> dict[str, str]:
    """The environment of a command for which opening a directory takes 2 ms."""
    return {"LD_PRELOAD": str(shim), "SHIM_SLOW": "2000"}


@pytest.fixture
def brake(place: Place, shim: Path) -> Brake:
    return Brake(place.folder / "brake", shim)


@pytest.fixture
def private_ledger(place: Place) -> "PrivateLedger":
    return PrivateLedger(place)


class PrivateLedger:
    """Finds the journal of the private run that a place has."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def in_the_middle(self) -> Ledger:
        """Wait until something is committed and something is left."""
        found: list[Ledger] = []

        def is_open() -> bool:
            for path in self._place.state.glob("zfs_walk/runs/*/journal.db"):
                ledger = Ledger(path)
                if ledger.commits >= 2 and ledger.left:
                    found.append(ledger)
                    return True
            return False

        wait_for("the private run is in its middle", is_open)
        return found[0]

    @property
    def run(self) -> int:
        """The number of the only private run."""
        [folder] = self._place.state.glob("zfs_walk/runs/*")
        return int(folder.name)


@pytest.fixture
def mirrored(place: Place) -> Iterator[Mirrored]:
    yield from mirroring(place)
