"""Asks on a terminal."""

import os
import sys
import textwrap
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from zfs_walk.cli.summary import show_path
from zfs_walk.cli.wizard.questions import NO, YES, Answers, Question, Thing
from zfs_walk.errors import FolderError, WrongUseError
from zfs_walk.watch.folder import look_at_folder

WIDTH: Final = 78
"""Columns of what is said."""

NOTHING: Final = "-"
"""The answer that takes an earlier one back."""

SECRETS: Final = ("SECRET", "PASSWORD", "PASSWD", "TOKEN", "ACCESS_KEY", "PASSPHRASE")
"""The value of an environment variable with one of these in its name is no answer."""


def need_terminal() -> None:
    """See that somebody is there to be asked.

    Raises:
        WrongUseError: input or output is no terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        reason = (
            "a wizard asks, and here is no terminal to ask on: write the file by hand, from"
            " configs/uploader.yaml or docs/uploader.md"
        )
        raise WrongUseError(reason=reason)
    # Names are bytes: what is typed need not be UTF-8.
    reconfigure = getattr(sys.stdin, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="surrogateescape")


def known_secrets() -> frozenset[str]:
    """The secrets that the environment has."""
    return frozenset(
        value
        for name, value in os.environ.items()
        if value and any(word in name.upper() for word in SECRETS) and not Path(value).is_file()
    )


def say(text: str = "", indent: str = "") -> None:
    """Tell something, in lines that fit."""
    lines = textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=" " * len(indent),
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    click.echo("\n".join(lines))


def title(text: str) -> None:
    """Begin a part."""
    click.echo()
    click.secho(text, bold=True)


def ask_all(questions: Sequence[Question], answers: Answers) -> None:
    """Ask what is to be asked; the answers come to those that there are.

    What was answered before is kept if the answer is empty now.
    """
    secrets = known_secrets()
    for question in questions:
        before = answers.pop(question.key, None)
        if not question.wanted(answers):
            continue
        click.echo()
        say(question.why, "  ")
        found = _ask(question, secrets, before)
        if found is not None:
            answers[question.key] = found


def _ask(question: Question, secrets: Collection[str], before: Any) -> Any:
    """An answer as the file has it; None: it was left empty."""
    if not question.several:
        return _ask_one(question, secrets, before)
    several: list[Any] = []
    while True:
        text = f"{question.text}, one more" if several else question.text
        found = _ask_once(question, text, secrets)
        if found is None:
            return several or None
        several.append(found)


def _ask_one(question: Question, secrets: Collection[str], before: Any) -> Any:
    if before is None:
        found = _ask_once(question, question.text, secrets)
    else:
        say(f"Empty this time: as before; {NOTHING} leaves it empty.", "  ")
        shown = before[0] if question.listed else before
        text = f"{question.text} [{show_path(os.fsencode(str(shown)))}]"
        found = _ask_once(question, text, secrets, before=before)
        if found is before:
            return before
    return [found] if question.listed and found is not None else found


def _ask_once(
    question: Question, text: str, secrets: Collection[str], *, before: Any = None
) -> Any:
    """What is typed, as the file has it; if nothing is, what was answered before."""
    while True:
        typed: str = click.prompt(text, default="", show_default=False)
        if not typed.strip():
            return before
        if before is not None and typed.strip() == NOTHING:
            return None
        try:
            if question.thing is None:
                return question.take(typed.strip(), secrets)
            return question.take(_existing(typed, question.thing), secrets)
        except ValueError as error:
            complain(str(error))


def complain(text: str) -> None:
    """Say what is wrong with an answer."""
    say(f"{text}.", "  ! ")


def _existing(typed: str, thing: Thing) -> str:
    """The absolute path of what must be there and be readable.

    Raises:
        ValueError: it is not.
    """
    path = os.path.abspath(os.path.expanduser(typed))  # noqa: PTH100, PTH111 -- it need not be UTF-8
    if not os.path.lexists(path) and typed != typed.strip():
        return _existing(typed.strip(), thing)
    try:
        if thing is Thing.FOLDER:
            look_at_folder(path)
        else:
            Path(path).open("rb").close()
    except FolderError as error:
        message = f"that folder can't be used: {error.fields['reason']}"
        raise ValueError(message) from error
    except OSError as error:
        message = f"that file can't be read: {error.strerror}"
        raise ValueError(message) from error
    return path


def agreed(text: str) -> bool:
    """Ask for a yes or a no; an empty answer is a no."""
    while True:
        word: str = click.prompt(f"{text} [y/N]", default="", show_default=False)
        if word.strip().lower() in NO | {""}:
            return False
        if word.strip().lower() in YES:
            return True
        complain("wanted: y or n")


def chosen(text: str, choices: Mapping[str, str]) -> str:
    """Ask for one of several, by its name or the beginning of that."""
    for name, meaning in choices.items():
        click.echo(f"  {name:<8} {meaning}")
    while True:
        word: str = click.prompt(text, default="", show_default=False).strip().lower()
        found = [name for name in choices if word and name.startswith(word)]
        if len(found) == 1:
            return found[0]
        complain(f"wanted: {', '.join(choices)}")


def hidden(text: str) -> str:
    """Ask for a secret, which is not shown; empty: none is given."""
    typed: str = click.prompt(text, default="", show_default=False, hide_input=True)
    return typed
