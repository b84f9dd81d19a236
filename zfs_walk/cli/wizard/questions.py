"""What a wizard asks, and which answers it takes.

A core: whether a folder is there, and what the environment has, is looked at elsewhere.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from zfs_walk.config.mappings import check_value
from zfs_walk.scan.filters import Filter

Answers = dict[str, Any]
"""By the questions' keys, as the file has them; a question that was left empty is not in it."""

OPTION: Final = "options."
"""The keys of questions about the sink's options begin with it."""

YES: Final = frozenset({"y", "yes", "true", "on"})
NO: Final = frozenset({"n", "no", "false", "off"})

_AWS_KEY: Final = re.compile(r"(?:AKIA|ASIA)[A-Z0-9]{16}")
_AWS_SECRET: Final = re.compile(
    r"(?=[A-Za-z0-9/+]*[a-z])(?=[A-Za-z0-9/+]*[A-Z])(?=\D*\d)[A-Za-z0-9/+]{40}"
)
_USER_INFO: Final = re.compile(r"://[^/@]*:[^/@]*@")
_SHORTEST: Final = 6
"""Characters of a secret; what is shorter is found in answers that have nothing to do with it."""


class Thing(StrEnum):
    """What must be there under a path."""

    FOLDER = "folder"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        key: of a mapping; with `OPTION` before it, of the sink's options; or of a part of ``to``.
        text: what is asked, in a few words.
        why: what it is for, and what it means to leave it empty.
        read: an answer as the file has it; raises ValueError, whose text says what is wanted and
            not what was given.
        several: it is asked until the answer is empty; the file has a list.
        listed: there is one answer; the file has a list.
        thing: the answer is a path on this host, and that must be there.
        path: it may have any character, as paths do.
        wanted: whether it is asked, by the answers before it.
    """

    key: str
    text: str
    why: str
    read: Callable[[str], Any]
    several: bool = False
    listed: bool = False
    thing: Thing | None = None
    path: bool = False
    wanted: Callable[[Answers], bool] = lambda _: True

    def take(self, answer: str, secrets: Collection[str] = ()) -> Any:
        """An answer that is not empty, as the file has it.

        Args:
            answer: without what surrounds it.
            secrets: that are known, and must not be in it.

        Raises:
            ValueError: it is none; the text explains that, and does not show the answer.
        """
        if self.thing is None:
            refuse_secrets(answer, secrets, path=self.path)
        return self.read(answer)


def refuse_secrets(answer: str, secrets: Collection[str], *, path: bool) -> None:
    """See that an answer holds no secret, as far as that can be seen.

    Args:
        answer: to a question about something else.
        secrets: that are known.
        path: it may look like a secret by chance.

    Raises:
        ValueError: it does.
    """
    known = any(len(secret) >= _SHORTEST and secret in answer for secret in secrets)
    if (
        known
        or _USER_INFO.search(answer)
        or _AWS_KEY.search(answer)
        or "-----BEGIN" in answer
        or (not path and _AWS_SECRET.fullmatch(answer))
    ):
        message = (
            "that has a password or an access key in it. No secret belongs into this file: it is"
            " not taken, and not kept. Where secrets come from is said below; now answer without"
        )
        raise ValueError(message)


# ---------------------------------------------------------------------- readers


def plain(key: str) -> Callable[[str], str]:
    """A text that a key of a mapping takes."""

    def read(answer: str) -> str:
        check_value(key, answer)
        return answer

    return read


def whole(key: str) -> Callable[[str], int]:
    """A whole number that a key of a mapping takes."""

    def read(answer: str) -> int:
        check_value(key, int(answer) if re.fullmatch(r"-?[0-9]{1,18}", answer) else answer)
        return int(answer)

    return read


def one_of(key: str) -> Callable[[str], str]:
    """One text of a list that a key of a mapping takes."""

    def read(answer: str) -> str:
        check_value(key, [answer])
        return answer

    return read


def yes_or_no(answer: str) -> bool:
    """Take a yes or a no.

    Raises:
        ValueError: it is neither.
    """
    word = answer.lower()
    if word not in YES | NO:
        message = "wanted: yes or no"
        raise ValueError(message)
    return word in YES


def pattern(answer: str) -> str:
    """Take a pattern of names.

    Raises:
        ValueError: it is none.
    """
    Filter(excludes=(answer,))
    return answer


def matching(expression: str, wanted: str) -> Callable[[str], str]:
    """A text of a form."""

    def read(answer: str) -> str:
        if not re.fullmatch(expression, answer):
            message = f"wanted: {wanted}"
            raise ValueError(message)
        return answer

    return read


# ---------------------------------------------------------------------- of every uploader

WHAT: Final = (
    Question(
        "name", "Name of the mapping",
        "Names it in logs, in lists and in the state folder, such as photos. Never give it to"
        " another mapping.",
        plain("name"),
    ),
    Question(
        "local", "Folder to mirror",
        "The folder of this host whose files are to be on the other side as well.",
        plain("local"), thing=Thing.FOLDER,
    ),
    Question(
        "exclude", "Leave out",
        "A pattern of names that are left out, such as *.tmp or /cache/; one at a time, an empty"
        " answer ends the list.",
        pattern, several=True, path=True,
    ),
    Question(
        "include", "But not",
        "A pattern of exceptions to these; one at a time, an empty answer ends the list.",
        pattern, several=True, path=True, wanted=lambda answers: "exclude" in answers,
    ),
)  # fmt: skip
"""Asked first."""

HOW: Final = (
    Question(
        "complete_sync", "Delete there what is deleted here (yes or no)",
        "yes: the other side becomes the very same, so what is deleted here is deleted there (many"
        " deletions at once wait until you confirm them). no, or empty: nothing is ever deleted"
        " there.",
        yes_or_no,
    ),
    Question(
        "transfers", "Transfers at once",
        "How many files are sent at the same time; empty: as many as is usual.",
        whole("transfers"),
    ),
    Question(
        "bwlimit", "Limit, bytes a second",
        "What all transfers together may send, such as 10M; empty: as fast as they can.",
        plain("bwlimit"),
    ),
    Question(
        "windows", "Hours in which files are sent",
        "Such as 22:00-06:00, or sat,sun 00:00-24:00, in local time; one at a time, an empty answer"
        " ends the list; none: always.",
        one_of("windows"), several=True,
    ),
)  # fmt: skip
"""Asked last."""
