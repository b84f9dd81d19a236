"""The file of an uploader with one mapping, every key explained; what has its default is a comment.

A core: text from answers.
"""

import math
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from zfs_walk.cli.wizard.kind import Kind, Options
from zfs_walk.cli.wizard.questions import HOW, OPTION, WHAT, Answers
from zfs_walk.config.mappings import default_of

MEANINGS: Final = {
    "name": "Names it in logs, lists and the state folder: never give it to another mapping.",
    "local": "The folder that is mirrored.",
    "local_root": "Instead of local: this and, below it, local_dir.",
    "local_dir": "Below local_root.",
    "to": "Where it goes: s3://BUCKET/PREFIX, sftp://USER@HOST:PORT/PATH or file:///PATH, without"
    " any password.",
    "remote_root": "Instead of to: this and, below it, remote_dir.",
    "remote_dir": "Below remote_root.",
    "options": "What the other side needs besides.",
    "complete_sync": "true: what is deleted here is deleted there. false: nothing ever is.",
    "guard_files": "More deletions than so many files ...",
    "guard_percent": "... and than so many percent of what is there wait for --confirm.",
    "symlinks": "Symbolic links: skip, follow (inside the folder) or record (as links).",
    "exclude": "Patterns of what is left out, such as *.tmp or /cache/.",
    "include": "Patterns of exceptions to them.",
    "transfers": "Files that are sent at once.",
    "order": "Which file is sent first: oldest (changed first) or smallest.",
    "bwlimit": "Bytes a second that they may send together, such as 10M; 0: no limit.",
    "windows": "When they may send, local time, such as 22:00-06:00; empty: always.",
    "tries": "Failed tries after which a file is set aside.",
    "monitor": "Who tells what happens: auto, fanotify, watchdog or poll.",
    "poll": "Seconds between two comparisons of the folder with its list; 0: never.",
    "settle": "Milliseconds in which the events of a burst become one.",
    "rescan": "Seconds between two comparisons with the other side; 0: at each start only.",
}
"""Of a mapping's keys, in their order in the file."""

WIDTH: Final = 100
"""Columns of a comment."""

HEAD: Final = """\
# An uploader's file, by `zfs-ctl config wizard uploader`. It is YAML, and yours to edit.
# Keys that are commented out have the default that is shown; docs/uploader.md explains them all.
# Run it with: {command}
"""


def render(answers: Answers, kind: Kind, options: Options, command: str) -> str:
    """The file.

    Args:
        answers: to all questions.
        kind: of the other side.
        options: the model of its sink's options.
        command: that runs an uploader with this file.
    """
    given = mapping(answers, kind)
    lines = [*HEAD.format(command=command).splitlines(), "", "role: uploader", "", "mappings:"]
    # A dash of its own: whatever key is the first one may be a comment.
    lines.append("  -")
    for key, meaning in MEANINGS.items():
        lines += _comment("    ", meaning)
        if key == "options":
            lines += _options(given.get(key, {}), kind, options)
        else:
            lines.append("    " + _line(key, given.get(key), default_of(key)))
    return "\n".join(lines) + "\n"


def mapping(answers: Answers, kind: Kind) -> dict[str, Any]:
    """The mapping's keys that the answers give a value, as the file has them."""
    own = {question.key for question in (*WHAT, *HOW)}
    given = {key: value for key, value in answers.items() if key in own}
    url = kind.url(answers)
    if url is not None:
        given["to"] = url
    found = {
        key.removeprefix(OPTION): value for key, value in answers.items() if key.startswith(OPTION)
    }
    return given | ({"options": found} if found else {})


def _options(given: dict[str, Any], kind: Kind, options: Options) -> Iterator[str]:
    yield from _comment("    ", kind.secrets)
    if given:
        yield "    options:"
    else:
        yield from _comment("    ", "Whoever uses one of the lines below needs this one as well.")
        yield "    # options:"
    for key, field in options.model_fields.items():
        words = " ".join((field.description or "").replace("``", "`").split())
        yield from _comment("      ", words)
        default = field.get_default(call_default_factory=True)
        yield "      " + _line(key, given.get(key), default)


def _comment(indent: str, text: str) -> list[str]:
    first = f"{indent}# "
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=first)


def _line(key: str, value: Any, default: Any) -> str:
    if value is not None:
        return f"{key}: {inline(value)}"
    return f"# {key}: {inline(_plain(default))}".rstrip()


def _plain(value: Any) -> Any:
    """A default as YAML has it."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    # Such as a number of bytes, which prints itself in its own way.
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def inline(value: Any) -> str:
    """A value as YAML in one line of ASCII and printable characters; None: nothing."""
    if value is None or value == "":
        return ""
    texts = value if isinstance(value, list) else [value]
    # Quotes for what YAML would fold, or take for the end of a line.
    odd = any(isinstance(each, str) and not each.isprintable() for each in texts)
    text: str = yaml.safe_dump(
        value,
        default_style='"' if odd else None,
        default_flow_style=True,
        width=math.inf,
        allow_unicode=True,
    )
    return text.removesuffix("...\n").strip()
