"""What a walk leaves out: the patterns of --exclude and --include, and the default excludes."""

import re
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final, NamedTuple

SNAPSHOTS: Final = ".snapshot"
"""The directory in which NetApp, Isilon and others show old versions of a whole tree."""

ZFS_CONTROL: Final = ".zfs"
ZFS_SNAPSHOTS: Final = "snapshot"
"""`.zfs/snapshot`: the same of ZFS. Both would count a file once for each of its snapshots."""

_CLASSES: Final = {
    "alnum": r"^\W_",
    "alpha": r"^\W\d_",
    "ascii": r"\x00-\x7f",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": r"0-9",
    "graph": r"!-~",
    "lower": r"a-z",
    "print": r" -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\s",
    "upper": r"A-Z",
    "xdigit": r"0-9A-Fa-f",
}
"""POSIX character classes; a leading ``^``: the class is what the set does not hold."""


class Verdict(IntEnum):
    """Whether an entry is left out, and by whom."""

    KEEP = 0
    USER = 1
    DEFAULT = 2


@dataclass(frozen=True, slots=True)
class Filter:
    r"""What a run leaves out.

    An entry is left out when an exclude pattern matches it and no include pattern does: includes
    are exceptions to the excludes, the default ones too; they never narrow a walk. Left out means
    what ``-prune`` means to find: neither the entry nor anything below it counts. Roots are never
    filtered.

    - A pattern without ``/`` (a trailing one aside) matches an entry's name as find's ``-name``
      does: ``*``, ``?``, ``[a-z]``, ``[!a-z]``, ``[[:digit:]]``, ``\`` before a character that is
      meant literally; case matters, a leading dot is nothing special.
    - A pattern with a ``/`` elsewhere matches the whole path below the root (``/logs/*.gz`` and
      ``logs/*.gz`` are the same). There ``*``, ``?`` and sets stop at ``/``; ``**`` crosses it, and
      ``**/`` stands for any number of directories, none included.
    - A trailing ``/`` makes a pattern match directories only (a symbolic link is none).

    Names are bytes; they are matched as `os.fsdecode` shows them, so ``?`` matches one UTF-8
    character, or one byte where the name is not UTF-8.

    Attributes:
        excludes: patterns of what is left out.
        includes: patterns of the exceptions.
        defaults: also leave out directories named ``.snapshot``, and ``snapshot`` directly in a
            ``.zfs`` directory.

    Raises:
        ValueError: a pattern is empty, holds NUL, or ends in a lone backslash; it is named.
    """

    excludes: tuple[str, ...] = ()
    includes: tuple[str, ...] = ()
    defaults: bool = True

    def __post_init__(self) -> None:
        """Refuse bad patterns here, where whoever gave them still listens."""
        for pattern in (*self.excludes, *self.includes):
            _check(pattern)


class _Kind(NamedTuple):
    """The patterns of one list as one regular expression per kind; None where there are none."""

    names: re.Pattern[str] | None
    paths: re.Pattern[str] | None
    directory_names: re.Pattern[str] | None
    directory_paths: re.Pattern[str] | None

    def matches(self, name: str, path: str, *, is_directory: bool) -> bool:
        names = self.directory_names if is_directory else self.names
        if names is not None and names.fullmatch(name):
            return True
        paths = self.directory_paths if is_directory else self.paths
        return paths is not None and paths.fullmatch(path) is not None


class Matcher:
    """A compiled `Filter`; get it from `matcher`.

    Attributes:
        every: there are exclude patterns, so every entry must be judged. Otherwise it is enough to
            judge the directories for which `by_default` is true.
    """

    __slots__ = ("_defaults", "_excludes", "_includes", "every")

    def __init__(self, rules: Filter) -> None:
        """Compile ``rules``."""
        self.every = bool(rules.excludes)
        self._defaults = rules.defaults
        self._excludes = _compile(rules.excludes)
        self._includes = _compile(rules.includes)

    def by_default(self, name: str, parent: str) -> bool:
        """Whether the default excludes name the directory ``name`` in one named ``parent``."""
        return self._defaults and (
            name == SNAPSHOTS or (name == ZFS_SNAPSHOTS and parent == ZFS_CONTROL)
        )

    def judge(self, name: str, within: str, parent: str, *, is_directory: bool) -> Verdict:
        """Judge an entry.

        Args:
            name: the entry's name, as `os.fsdecode` shows it.
            within: the path below the root of the directory that it is in; "" for the root.
            parent: the name of that directory (the root's own name for the root).
            is_directory: it is a directory.
        """
        path = f"{within}/{name}" if within else name
        if self._excludes.matches(name, path, is_directory=is_directory):
            verdict = Verdict.USER
        elif is_directory and self.by_default(name, parent):
            verdict = Verdict.DEFAULT
        else:
            return Verdict.KEEP
        if self._includes.matches(name, path, is_directory=is_directory):
            return Verdict.KEEP
        return verdict


@lru_cache(maxsize=64)
def matcher(rules: Filter) -> Matcher:
    """Compile ``rules``, once for all scanners of a process."""
    return Matcher(rules)


def _check(pattern: str) -> None:
    if not pattern.strip("/"):
        reason = "is empty"
    elif "\0" in pattern:
        reason = "contains NUL"
    elif (len(pattern) - len(pattern.rstrip("\\"))) % 2:
        reason = "ends in a lone backslash"
    else:
        return
    message = f"the pattern {pattern!r} {reason}"
    raise ValueError(message)


def _compile(patterns: tuple[str, ...]) -> _Kind:
    parts: tuple[list[str], list[str], list[str], list[str]] = ([], [], [], [])
    names, paths, directory_names, directory_paths = parts
    for pattern in patterns:
        body = pattern.rstrip("/")
        if "/" in body:
            expression = _translate(body.lstrip("/"), in_path=True)
            kinds = (directory_paths,) if body != pattern else (paths, directory_paths)
        else:
            expression = _translate(body, in_path=False)
            kinds = (directory_names,) if body != pattern else (names, directory_names)
        for kind in kinds:
            kind.append(expression)
    return _Kind(*(re.compile("|".join(part), re.DOTALL) if part else None for part in parts))


def _translate(pattern: str, *, in_path: bool) -> str:
    """Write a pattern as a regular expression; in a path, wildcards stop at ``/``."""
    one = "[^/]" if in_path else "."
    out: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if in_path and pattern.startswith("**/", at) and (at == 0 or pattern[at - 1] == "/"):
            out.append("(?:.*/)?")
            at += 3
        elif in_path and pattern.startswith("**", at):
            out.append(".*")
            at += 2
        elif char == "*":
            out.append(f"{one}*")
            at += 1
        elif char == "?":
            out.append(one)
            at += 1
        elif char == "[" and (bracket := _bracket(pattern, at, in_path=in_path)):
            expression, at = bracket
            out.append(expression)
        else:
            if char == "\\":
                at += 1
            out.append(re.escape(pattern[at]))
            at += 1
    return "".join(out)


def _bracket(pattern: str, start: int, *, in_path: bool) -> tuple[str, int] | None:
    """Translate the set that begins at ``start``.

    Returns:
        The expression and where the pattern goes on; None if the set is never closed: then the
        bracket stands for itself, as in fnmatch.
    """
    at = start + 1
    negated = pattern[at : at + 1] in {"!", "^"}
    if negated:
        at += 1
    first = at
    alternatives: list[str] = []
    while True:
        if at >= len(pattern):
            return None
        if pattern[at] == "]" and at > first:
            break
        if named := re.match(r"\[:([a-z]+):\]", pattern[at:]):
            # An unknown class holds no character.
            if inside := _CLASSES.get(named[1]):
                alternatives.append(f"[{inside}]")
            at += named.end()
            continue
        low, at = _character(pattern, at)
        high = low
        if pattern[at : at + 1] == "-" and pattern[at + 1 : at + 2] not in {"", "]"}:
            high, at = _character(pattern, at + 1)
        if low <= high:  # a reversed range holds no character
            alternatives.append(f"[{re.escape(low)}-{re.escape(high)}]")
    inside = "|".join(alternatives) or "(?!)"
    one = "[^/]" if in_path else "."
    sign = "!" if negated else "="
    return f"(?:(?{sign}{inside}){one})", at + 1


def _character(pattern: str, at: int) -> tuple[str, int]:
    """Read one character of a set, escaped or not; returns it and where the pattern goes on."""
    if pattern[at] == "\\" and at + 1 < len(pattern):
        at += 1
    return pattern[at], at + 1
