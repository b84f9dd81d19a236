"""A kind of other side: what is asked of it, and the URL that the answers make.

A core, as `zfs_walk.cli.wizard.questions`.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ValidationError

from zfs_walk.cli.wizard.questions import Answers, Question

Options = type[BaseModel]
"""The model of a sink's options."""


_KEPT: Final = re.compile(r"[^\x00-\x1f]+/[^/\x00-\x1f]+")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of other side.

    Attributes:
        title: what it is called.
        questions: about it.
        url: the URL that the answers make; None: what it needs was left empty.
        secrets: where its secrets come from, for people.
        borrowed: environment variables that may be lent to a test of the connection, by the answers
            and the names of the variables that are there.
    """

    title: str
    questions: tuple[Question, ...]
    url: Callable[[Answers], str | None]
    secrets: str
    borrowed: Callable[[Answers, Collection[str]], tuple[str, ...]]


def option(options: Options, key: str, *, listed: bool = False) -> Callable[[str], str]:
    """The reader of an option that is text."""

    def read(answer: str) -> str:
        try:
            options.model_validate({key: [answer] if listed else answer})
        except ValidationError as error:
            found = error.errors(include_input=False, include_url=False, include_context=False)
            message = "; ".join(each["msg"] for each in found)
            raise ValueError(message) from None
        return answer

    return read


def kept(answer: str) -> str:
    """Read what names a secret in a keyring."""
    if not _KEPT.fullmatch(answer):
        message = "wanted: SERVICE/USER; the secret itself never goes into this file"
        raise ValueError(message)
    return answer


def is_host(text: str) -> bool:
    """Whether a text may be the name or the number of a host."""
    form = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]+"
    return re.fullmatch(form, text) is not None
