"""Files of settings: what is in them is taken, what is wrong in them is named."""

from pathlib import Path

import pytest

from zfs_walk.config.environment import check_variables
from zfs_walk.config.files import load_settings
from zfs_walk.errors import WrongUseError

KNOWN = ("workers", "max_depth", "exclude")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "walk.yaml"


def test_keys_may_have_dashes_as_on_the_command_line(file: Path) -> None:
    file.write_text("# a comment\nworkers: 3\nmax-depth: 1\nexclude: [a, b]\n")
    settings = load_settings(str(file), KNOWN)
    assert {name: setting.value for name, setting in settings.items()} == {
        "workers": 3, "max_depth": 1, "exclude": ["a", "b"],
    }  # fmt: skip
    found = settings["max_depth"]
    assert (found.origin, found.key) == (f"{file}, line 3", "max-depth")


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_file_sets_nothing(file: Path, text: str) -> None:
    file.write_text(text)
    assert load_settings(str(file), KNOWN) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nwrkers: 2\n", r"line 1: unknown key a; accepted: exclude, max-depth, workers"),
        ("max-detph: 2\n", r"line 1: unknown key max-detph; the nearest is max-depth; accepted"),
        ("workers: 1\nworkers: 2\n", "line 2: workers is there twice, first in line 1"),
        ("max-depth: 1\nmax_depth: 2\n", "line 2: max_depth is there twice, first in line 1"),
        ("- workers\n", "a map is wanted"),
        ("words\n", "a map is wanted"),
        ("workers: [\n", "line 2: it is not YAML: expected the node content"),
        ("workers: !!python/object:os.system x\n", "line 1: it is not YAML: could not determine"),
        ("workers: 1\n--- 2\n", "line 2: it is not YAML: but found another document"),
        ("workers: \x01\n", "it is not YAML: special characters are not allowed"),
        ("[a]: 1\n", "line 1: unknown key"),
    ],
)
def test_what_is_wrong_is_named(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(WrongUseError, match=message) as caught:
        load_settings(str(file), KNOWN)
    assert str(file) in str(caught.value)


def test_a_file_that_can_not_be_read_is_named(file: Path) -> None:
    with pytest.raises(WrongUseError, match="can't be read"):
        load_settings(str(file), KNOWN)
    file.write_bytes(b"workers: 1\n# \xff\xfe\xfa")
    with pytest.raises(WrongUseError, match="line 2: it is not UTF-8"):
        load_settings(str(file), KNOWN)


def test_variables_of_others_and_known_ones_are_let_through() -> None:
    check_variables(["PATH", "ZFS_OTHER", "ZFS_WALK_MAX_DEPTH"], KNOWN)


def test_an_unknown_variable_is_refused() -> None:
    with pytest.raises(
        WrongUseError, match=r"ZFS_WALK_WORKER is no option; the nearest is ZFS_WALK_WORKERS"
    ):
        check_variables(["ZFS_WALK_WORKER"], KNOWN)
    with pytest.raises(WrongUseError, match=r"ZFS_WALK_QQQ is no option\.$"):
        check_variables(["ZFS_WALK_QQQ"], KNOWN)
