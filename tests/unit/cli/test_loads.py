"""The configuration of a load run, from whoever starts it to an agent."""

import json
from pathlib import Path
from typing import Any

import click
import pytest

from zfs_walk.cli.loads import packed_config, settings_of, unpacked_config
from zfs_walk.errors import LoadRefusedError, WrongUseError
from zfs_walk.load.spec import Work

NUMBERS = {"consumers": 0, "max_fill": 80.0, "heartbeat": 1.0, "sample": 1.0, "grace": 30.0}


def packed(loads: str, **settings: Any) -> bytes:
    with click.Context(click.Command("test")):
        return packed_config((), loads, settings, "seed", **NUMBERS)


def test_what_is_set_replaces_what_is_said_on_its_way_too(tmp_path: Path) -> None:
    settings = settings_of(["work=read", "read-percent=10"], 500, 0, "", ())
    config = packed(
        f"- {{target: {tmp_path}, work: mixed, read-percent: 70}}\n"
        f"- {{target: {tmp_path}, block: 4K}}",
        **settings,
    )
    wanted = unpacked_config(config, 7, (), ())
    assert [(each.work, each.read_percent, each.rate) for each in wanted.specs] == [
        (Work.READ, 10, 500),
        (Work.READ, 10, 500),
    ]
    assert wanted.seed == "seed"
    assert wanted.numbers["max-fill"] == 80.0


def test_no_agent_reads_a_catalog_of_its_own_at_somebody_elses_word(tmp_path: Path) -> None:
    config = json.loads(packed(f"- target: {tmp_path}"))
    assert config["shapes"] == {}
    config["loads"][0]["like"] = str(tmp_path)
    with pytest.raises(LoadRefusedError, match="did not come with the run"):
        unpacked_config(json.dumps(config).encode(), 7, (), ())
    shape = [[[0, 1], [512, 3]], [[1, 4]], [1]]
    config["shapes"] = {str(tmp_path): shape}
    [spec] = unpacked_config(json.dumps(config).encode(), 7, (), ()).specs
    assert spec.shape is not None
    assert spec.shape.sizes == ((0, 1), (512, 3))


@pytest.mark.parametrize(
    "change",
    [
        {"shapes": {"/c": [1]}}, {"shapes": 7}, {"shapes": {"/c": [[], [], []]}},
        {"shapes": {"/c": [[[5, 1]], [[3, 1]], [1, 1]]}},
        {"shapes": {"/c": [[[-5, 1]], [[1, 1]], [1]]}},
        {"loads": 3}, {"grace": "x"}, {"consumers": 10**9}, {"heartbeat": float("nan")},
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    config = json.loads(packed(f"- target: {tmp_path}")) | change
    with pytest.raises(WrongUseError):
        unpacked_config(json.dumps(config).encode(), 7, (), ())


def test_a_folder_that_is_not_allowed_is_refused(tmp_path: Path) -> None:
    config = packed(f"- target: {tmp_path}")
    with pytest.raises(LoadRefusedError, match="only /usr may be loaded"):
        unpacked_config(config, 7, (b"/usr",), ("/usr",))


def test_like_goes_with_a_target() -> None:
    with pytest.raises(WrongUseError, match="like goes with target"):
        settings_of((), 0, 0, "/catalog", ())
