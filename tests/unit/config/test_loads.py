"""Loads as YAML has them: what is taken, and what is wrong with the rest."""

import pytest

from zfs_walk.config.loads import dealt, load_of, parse_setting, read_loads
from zfs_walk.config.mappings import compose
from zfs_walk.errors import WrongUseError
from zfs_walk.load.spec import KEEP_ALL, LoadSpec, Order, Work


def loads(text: str) -> list[LoadSpec]:
    return [placed.spec for placed in read_loads(compose(text, "f.yaml"), "f.yaml")]


def test_defaults_are_filled_in() -> None:
    assert loads("- target: /data") == [LoadSpec(name="load-1", target="/data")]


def test_sizes_have_units_and_weights() -> None:
    [load] = loads("- {target: /d, file-size: {4K: 3, 1M: 1}, block: 512, keep: all}")
    assert load.file_size == ((4096, 3), (1 << 20, 1))
    assert load.block == ((512, 1),)
    assert load.keep == KEEP_ALL


def test_a_load_can_be_like_a_catalog() -> None:
    [load] = loads("- {target: /d, like: /c/../catalog, like-max: 1G, count: 10000}")
    assert (load.like, load.like_max, load.count) == ("/catalog", 1 << 30, 10_000)
    assert load.shape is None


def test_keys_can_be_shared_and_changed() -> None:
    one, two = loads(
        "- &a {name: one, target: /d, order: random, files: 9}\n- {<<: *a, name: two, work: read}"
    )
    assert (one.order, one.files, one.work) == (Order.RANDOM, 9, Work.WRITE)
    assert (two.order, two.files, two.work) == (Order.RANDOM, 9, Work.READ)


def test_a_setting_replaces_what_every_load_says() -> None:
    settings = dict(map(parse_setting, ["work=read", "read-percent=10", "block={4K: 3, 1M: 1}"]))
    given = compose("- {target: /d, work: mixed}\n- {target: /e, files: 9}", "f.yaml")
    one, two = (placed.spec for placed in read_loads(given, "f.yaml", settings))
    assert one.work == two.work == Work.READ
    assert one.block == two.block == ((4096, 3), (1 << 20, 1))
    assert (one.files, two.files) == (4, 9)
    assert load_of("/f", "a", settings).spec == LoadSpec(
        name="a", target="/f", work=Work.READ, read_percent=10, block=one.block
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("blok=4K", "the nearest is block"),
        ("target=/d", "no key that can be set"),
        ("block", "KEY=VALUE is wanted"),
        ("block={", "{ is no YAML"),
        ("direct=1", "--set direct=1: 1 is not accepted; accepted: true or false"),
    ],
)
def test_a_setting_that_can_not_be_is_refused(text: str, words: str) -> None:
    with pytest.raises(WrongUseError) as error:
        parse_setting(text)
    assert words in str(error.value)


def test_settings_that_do_not_go_together_are_refused() -> None:
    settings = dict(map(parse_setting, ["direct=true", "block=1000"]))
    with pytest.raises(WrongUseError, match="multiples of 4096"):
        load_of("/f", "a", settings)
    with pytest.raises(WrongUseError, match="file-size and like"):
        load_of("/f", "a", dict(map(parse_setting, ["like=/c", "file-size=1M"])))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- {target: /d, blok: 4K}", "line 1: unknown key blok; the nearest is block"),
        ("- {name: a}", "target is missing"),
        ("- {target: /d, files: 0}", "files: 0 is not accepted"),
        ("- {target: /d, file-size: big}", 'file-size: "big" is not accepted; accepted: bytes'),
        ("- {target: /d, block: {4K: 0}}", "block: {'4K': 0} is not accepted"),
        ("- {target: /d, keep: some}", "whole number, at least 0, or all"),
        ("- {target: /d, metadata: {erase: 1}}", "create, stat, rename, delete"),
        ("- {target: /d, metadata: {}}", "create, stat, rename, delete"),
        ("- {target: /d, like: /c, file-size: 4K}", "file-size and like: one of them"),
        ("- {target: /d, like-max: 1G}", "no catalog that it limits"),
        ("- {target: /d, like: 7}", "the path of a catalog's folder"),
        ("- {target: /d, count: -1}", "a whole number, at least 0"),
        ("- {target: /d, direct: 1}", "true or false"),
        ("- target: /d\n  name: a\n- target: /e\n  name: a", "line 3: a is the name of two loads"),
        ("- target: /d\n  files: 1\n  files: 2", "line 3: files is there twice, first in line 2"),
        ("target: /d", "a list with at least one load"),
        ("- 7", "a map of keys and values"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, words: str) -> None:
    with pytest.raises(WrongUseError) as error:
        loads(text)
    assert words in str(error.value)
    assert str(error.value).startswith("f.yaml, line ")


def test_consumers_take_the_loads_in_turn() -> None:
    placed = read_loads(compose("- {target: /d, name: a}\n- {target: /e, name: b}", "f"), "f")
    assert [spec.name for spec in dealt(placed, 0)] == ["a", "b"]
    assert [spec.name for spec in dealt(placed, 1)] == ["a"]
    assert [(spec.name, spec.target) for spec in dealt(placed, 5)] == [
        ("a", "/d"), ("b", "/e"), ("a-2", "/d"), ("b-2", "/e"), ("a-3", "/d"),
    ]  # fmt: skip
