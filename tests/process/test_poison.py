"""A directory that kills or holds its workers is given up, and costs nothing else."""

from pathlib import Path

import pytest

from tests.process import oracle
from tests.process.place import Ended, Place

pytestmark = [pytest.mark.slow, pytest.mark.big]


def is_exact_but_for_the_poison(place: Place, root: Path, ended: Ended, reason: str) -> None:
    """All but what is below ``stuck`` is there once, and the user is told."""
    assert ended.code == 1, ended.err
    assert ended.json["state"] == "DONE_WITH_ERRORS"
    [given_up] = ended.json["quarantined"]
    assert given_up["path"] == str(root / "d1" / "stuck")
    assert reason in given_up["reason"]
    expected = [path for path in oracle.paths(root) if b"/stuck/" not in path]
    assert ended.json["entries"] == len(expected)
    assert oracle.catalog_paths(place.folder / "catalog") == expected


@pytest.mark.parametrize("workers", [1, 2])
def test_a_directory_that_crashes_its_workers(
    place: Place, trap: Path, shim: Path, workers: int
) -> None:
    ended = place.run(
        "walk", "--json", "-v", trap, "-o", place.folder / "catalog", "--workers", workers,
        env={"LD_PRELOAD": str(shim), "SHIM_CRASH": "stuck"},
    )  # fmt: skip
    is_exact_but_for_the_poison(place, trap, ended, "3 workers died over it")
    assert ended.err.count("ended: SIGSEGV") == 3
    place.no_private_state()


def test_a_directory_that_hangs(place: Place, trap: Path, shim: Path) -> None:
    ended = place.run(
        "walk", "--json", "-v", trap, "-o", place.folder / "catalog", "--workers", 2,
        "--dir-timeout", 1, env={"LD_PRELOAD": str(shim), "SHIM_HANG": "stuck"},
    )  # fmt: skip
    is_exact_but_for_the_poison(place, trap, ended, "3 workers died over it")
    assert ended.err.count("one directory took more than 1 s") == 3


def test_a_run_without_rows_gives_it_up_as_well(place: Place, trap: Path, shim: Path) -> None:
    ended = place.run("walk", "-q", trap, env={"LD_PRELOAD": str(shim), "SHIM_CRASH": "stuck"})
    assert ended.code == 1
    assert f"NOT WALKED: {trap}/d1/stuck: 3 workers died over it" in ended.out
