"""The commented examples in configs/: every option is there, explained, and nothing else."""

import importlib
import re
from pathlib import Path

import click
import pytest

from zfs_walk.cli import agent
from zfs_walk.config import loads
from zfs_walk.config.files import load_settings
from zfs_walk.config.mappings import KEYS, compose, read_mappings
from zfs_walk.config.show import file_options
from zfs_walk.config.values import key_of
from zfs_walk.load.spec import LoadSpec
from zfs_walk.mirror.mapping import Mapping

CONFIGS = Path(__file__).parents[3] / "configs"
COMMAND_OF = {
    "walk": "walk", "broker": "broker", "walker": "agent", "scout": "agent", "uploader": "agent",
    "loadgen": "agent",
}  # fmt: skip
KEY = re.compile(r'^(?:# )?"?([a-z][a-z-]*)"?:(?: \S.*)?$')


def keys_of(command: click.Command) -> set[str]:
    return {key_of(option) for option in file_options(command)}


def check_example(text: str, keys: set[str]) -> list[str]:
    """What is wrong with an example of a command that has these keys."""
    lines = text.splitlines()
    keyed = [(match[1], number) for number, line in enumerate(lines) if (match := KEY.match(line))]
    found = dict(keyed)
    complaints = [f"{key} is missing" for key in sorted(keys - set(found))]
    complaints += [f"{key} is no option" for key in sorted(set(found) - keys)]
    complaints += [f"{key} is there twice" for key, number in keyed if found[key] != number]
    for key, number in keyed:
        above = lines[number - 1] if number else ""
        if not above.startswith("# ") or KEY.match(above):
            complaints.append(f"{key} has no comment above it")
    return complaints


def test_every_example_has_its_command() -> None:
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == set(COMMAND_OF)


@pytest.mark.parametrize("example", COMMAND_OF)
def test_an_example_explains_every_option_of_its_command(example: str) -> None:
    command = importlib.import_module(f"zfs_walk.cli.{COMMAND_OF[example]}").main
    of_other_roles = {
        name.rstrip("_").replace("_", "-")
        for role, names in agent.OF_ROLE.items()
        for name in names
        if role != example and example in agent.OF_ROLE
    }
    keys = keys_of(command) - of_other_roles
    assert check_example((CONFIGS / f"{example}.yaml").read_text(), keys) == []


def test_the_example_of_an_uploader_shows_every_key_of_a_mapping_and_its_default() -> None:
    path = CONFIGS / "uploader.yaml"
    text = path.read_text()
    settings = load_settings(str(path), {name.replace("-", "_") for name in keys_of(agent.main)})
    [(mapping, _)] = read_mappings(settings["mappings"].node, str(path))
    assert mapping == Mapping("photos", b"/data/photos", "file:///backup/photos")
    shown = dict(re.findall(r"^    (?:# |)([a-z_]+): (.*)$", text, re.MULTILINE))
    assert set(shown) | {"name"} == set(KEYS)
    # Those that show a form instead of the default.
    for name in ("exclude", "windows", "local_root", "remote_root", "local_dir", "remote_dir"):
        del shown[name]
    given = "\n".join(f"  {name}: {value}" for name, value in shown.items())
    node = compose(f"- name: photos\n{given}\n", "shown")
    assert [placed.mapping for placed in read_mappings(node, "shown")] == [mapping]


def test_the_example_of_a_load_generator_shows_every_key_of_a_load_and_its_default() -> None:
    path = CONFIGS / "loadgen.yaml"
    text = path.read_text()
    settings = load_settings(str(path), {name.replace("-", "_") for name in keys_of(agent.main)})
    [(load, _)] = loads.read_loads(settings["loads"].node, str(path))
    assert load == LoadSpec(name="big", target="/scratch")
    shown = dict(re.findall(r"^    (?:# |)([a-z-]+): (.*)$", text, re.MULTILINE))
    assert {key.replace("-", "_") for key in shown} | {"name"} == set(loads.KEYS)
    given = "\n".join(f"  {key}: {value}" for key, value in shown.items())
    node = compose(f"- name: big\n{given}\n", "shown")
    assert [placed.spec for placed in loads.read_loads(node, "shown")] == [load]


@pytest.mark.parametrize("name", ["agent", "broker", "ctl", "walk"])
def test_every_option_says_what_it_is(name: str) -> None:
    def options(command: click.Command) -> list[click.Option]:
        own = [option for option in command.params if isinstance(option, click.Option)]
        verbs = command.commands.values() if isinstance(command, click.Group) else ()
        return own + [option for verb in verbs for option in options(verb)]

    found = options(importlib.import_module(f"zfs_walk.cli.{name}").main)
    assert [option.name for option in found if len((option.help or "").split()) < 2] == []


@pytest.mark.parametrize(
    ("planted", "complaint"),
    [
        ("# Seconds.\nttl: 1\n", "bind is missing"),
        ("# Where.\nbind: x\n# Seconds.\nttl: 1\n\n# Typo.\nbnid: x\n", "bnid is no option"),
        ("# Where.\nbind: x\n# Seconds.\nttl: 1\n# Typo.\n# bnid: x\n", "bnid is no option"),
        ("# Where.\nbind: x\n# Seconds.\nttl: 1\n# Where.\n# bind: y\n", "bind is there twice"),
        ("# Where.\nbind: x\n\nttl: 1\n", "ttl has no comment above it"),
        ("# Where.\n# bind: x\nttl: 1\n", "ttl has no comment above it"),
    ],
)
def test_a_hole_in_an_example_is_found(planted: str, complaint: str) -> None:
    assert check_example("# Where.\n# bind: x\n\n# Seconds.\nttl: 1\n", {"bind", "ttl"}) == []
    assert check_example(planted, {"bind", "ttl"}) == [complaint]
