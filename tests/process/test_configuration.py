"""What docs/configuration.md says of wrong and of good configurations, with the real commands."""

import os
import re
from pathlib import Path

import pytest

from tests.process.place import Ended, Place

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/configuration.md"


def table(head: str) -> list[tuple[str, ...]]:
    """The rows of the page's table with this head."""
    lines = PAGE.read_text().splitlines()
    rows = []
    for line in lines[lines.index(head) + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(tuple(cell.strip() for cell in line.strip("|").split(" | ")))
    assert rows
    return rows


def code(cell: str) -> str:
    """What a cell shows as code, line by line."""
    return "\n".join(part.strip("`") for part in cell.split("<br>"))


def run(place: Place, command: str, *more: str, env: dict[str, str] | None = None) -> Ended:
    words = command.split()
    return place.run(words[0].removeprefix("zfs-"), *words[1:], *more, env=env)


def refused(ended: Ended, command: str, message: str) -> None:
    assert (ended.code, ended.out, ended.err) == (
        2,
        "",
        f"{command.split(maxsplit=1)[0]}: {message}\n",
    )


@pytest.mark.parametrize(
    ("command", "text", "message"), table("| command | in `wrong.yaml` | message |")
)
def test_a_wrong_file_gives_its_documented_message(
    place: Place, command: str, text: str, message: str
) -> None:
    (place.folder / "wrong.yaml").write_text(code(text) + "\n")
    refused(run(place, code(command), "--config", "wrong.yaml"), code(command), message)


@pytest.mark.parametrize(("what", "message"), table("| `wrong.yaml` | message |"))
def test_a_file_that_is_none_gives_its_documented_message(
    place: Place, what: str, message: str
) -> None:
    file = place.folder / "wrong.yaml"
    match what:
        case "is missing":
            pass
        case "is a directory":
            file.mkdir()
        case "may not be read":
            if os.geteuid() == 0:
                pytest.skip("needs a plain user")
            file.touch(mode=0)
        case "has a second line in Latin-1":
            file.write_bytes("# ok\n# für\n".encode("latin-1"))
        case _:
            pytest.fail(f"nobody knows how to make a file that {what}")
    refused(run(place, "zfs-broker", "--config", "wrong.yaml"), "zfs-broker", message)


@pytest.mark.parametrize(
    ("command", "variable", "message"), table("| command | variable | message |")
)
def test_a_wrong_variable_gives_its_documented_message(
    place: Place, command: str, variable: str, message: str
) -> None:
    name, _, value = code(variable).partition("=")
    refused(run(place, code(command), env={name: value}), code(command), message)


def test_the_configuration_is_shown_with_the_origin_of_each_value(place: Place) -> None:
    page = PAGE.read_text()
    block = re.search(r"```sh\n(echo .*?)```\n\n```yaml\n(.*?)```", page, re.DOTALL)
    assert block is not None
    (place.folder / "broker.yaml").write_text("lease-ttl: 20\n")
    arguments = ("broker", "--config", "broker.yaml", "--commit-interval", 3, "--print-config")
    ended = place.run(*arguments, env={"ZFS_WALK_HEARTBEAT": "2"})
    assert (ended.code, ended.err) == (0, "")
    shown = [line for line in block[2].splitlines() if not line.startswith("# ...")]
    assert shown == [line for line in ended.out.splitlines() if line in shown]


@pytest.mark.parametrize(
    "arguments",
    [
        ("broker", "--lease-ttl", 9, "--state", "a: b # c"),
        ("agent", "--role", "walker", "--name", "null", "--wait"),
        ("agent", "--role", "scout", "--broker", "tcp://node1:1, tcp://node1:2"),
        ("walk", "--exclude", "a b", "--exclude", "#x\n", "--max-depth", 0, "-0", "/no/such"),
        ("ctl", "run", "list", "--json"),
    ],
)
def test_a_shown_configuration_can_be_loaded(place: Place, arguments: tuple[str, ...]) -> None:
    def values(text: str) -> list[str]:
        return [line.partition("  # ")[0] for line in text.splitlines()]

    first = place.run(*arguments, "--print-config")
    (place.folder / "shown.yaml").write_text(first.out)
    command = [
        word for word in arguments[:3] if word in {"broker", "agent", "walk", "ctl", "run", "list"}
    ]
    again = place.run(*command, "--config", "shown.yaml", "--print-config")
    assert (first.code, again.code, again.err) == (0, 0, "")
    assert values(again.out) == values(first.out)
    assert "  # command line" in first.out
    assert "  # shown.yaml, line " in again.out
    assert "  # command line" not in again.out


def test_a_files_endpoints_may_be_a_list(place: Place) -> None:
    (place.folder / "agent.yaml").write_text("broker:\n- tcp://node1:1\n- tcp://node1:2\n")
    ended = place.run("agent", "--role", "walker", "--config", "agent.yaml", "--print-config")
    assert "broker: tcp://node1:1,tcp://node1:2  # agent.yaml, line 1" in ended.out.splitlines()


@pytest.mark.parametrize(
    ("example", "command"),
    [("walk", "walk"), ("broker", "broker"), ("walker", "agent"), ("scout", "agent")],
)
def test_an_example_is_accepted(place: Place, example: str, command: str) -> None:
    ended = place.run(command, "--config", ROOT / f"configs/{example}.yaml", "--print-config")
    assert (ended.code, ended.err) == (0, "")
    assert f"configs/{example}.yaml, line " in ended.out


def test_of_two_variables_the_one_that_counts_is_named(place: Place) -> None:
    old = {"MONITOR_DIR": "/a:/b c"}
    words = ("agent", "--role", "scout", "--print-config")
    shown = place.run(*words, env=old)
    assert 'watch: ["/a", "/b c"]  # environment variable MONITOR_DIR' in shown.out.splitlines()
    shown = place.run(*words, env={**old, "ZFS_WALK_WATCH": "/d"})
    assert 'watch: ["/d"]  # environment variable ZFS_WALK_WATCH' in shown.out.splitlines()
