"""Where a private run keeps its journal until its end."""

import shutil
from pathlib import Path

from zfs_walk.cli.state import private_folder
from zfs_walk.errors import StateError

RUNS = "runs"


def state_of(base: Path, run: int) -> Path:
    """The folder of a private run."""
    return base / RUNS / str(run)


def new_state(base: Path, first: int) -> tuple[int, Path]:
    """A fresh folder for a private run, and the number that the run will have.

    Raises:
        StateError: it can't be made.
    """
    private_folder(base / RUNS)
    number = first
    while True:
        try:
            state_of(base, number).mkdir(mode=0o700)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise StateError(path=base, reason=error.strerror) from error
        else:
            return number, state_of(base, number)


def interrupted_runs(base: Path) -> list[int]:
    """The numbers of private runs that have not come to their end."""
    found = (base / RUNS).glob("*/journal.db")
    return sorted(int(path.parent.name) for path in found if path.parent.name.isdecimal())


def remove_state(state: Path) -> None:
    """A finished run needs its journal no more."""
    shutil.rmtree(state, ignore_errors=True)
