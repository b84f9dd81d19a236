"""Scouts' lists of files: claims, lists, and what is asked and published about them (section 7).

A list belongs to a claim: a folder that one scout watches. It has a **generation**, new with each
whole list, and a **version**, the number of the last FILES message applied within it. Rows travel
as columns, one payload frame each, since a broker takes millions of them.
"""

from dataclasses import dataclass
from typing import Annotated, Final

from zfs_walk.protocol.message import Message, Request
from zfs_walk.protocol.schema import (
    I64,
    U32,
    U64,
    Inode,
    Length,
    Name,
    Path,
    Payload,
    Range,
    Text,
    Word,
)
from zfs_walk.protocol.statistics import Origin

MOST_ROWS: Final = 2_000
"""Rows of one FILES, FILE_PAGE or FILE_CHANGES: about 5 ms of a broker's loop."""

ROW_BYTES: Final = 4 * 2**20
"""Bytes of names after which such a message ends, with however few rows."""

MOST_CLAIMS: Final = 10_000

WRITING, LINK = 1, 2
"""Flags of a row: somebody has the file open for writing; it is a symbolic link."""

Names = Annotated[tuple[Path, ...], Length(MOST_ROWS), Payload()]
Numbers = Annotated[tuple[I64, ...], Length(MOST_ROWS), Payload()]
Flags = Annotated[tuple[Annotated[int, Range(0, 255)], ...], Length(MOST_ROWS), Payload()]


@dataclass(frozen=True, slots=True)
class Place:
    """A directory's identity on its host."""

    dev: Inode
    ino: Inode


@dataclass(frozen=True, slots=True)
class Claim(Message):
    """This scout watches a folder; repeated whenever one of these fields changes.

    ``claim`` is the scout's own number for it; ``path`` is absolute and without links;
    ``ancestors`` are all directories above it. ``monitor`` says how it is watched. While
    ``serving`` is false, with ``why``, its files are in no answer.
    """

    claim: U32
    path: Path
    place: Place
    ancestors: Annotated[tuple[Place, ...], Length(4096)]
    monitor: Word
    serving: bool
    why: Text


@dataclass(frozen=True, slots=True)
class Claimed(Message):
    """The claim stands; the broker has its list up to here, or none (0, 0)."""

    claim: U32
    generation: U64
    version: U64


@dataclass(frozen=True, slots=True)
class ClaimRefused(Message):
    """The folder, one above it or one below it is another scout's; ``detail`` says whose."""

    claim: U32
    code: Word
    detail: Text


@dataclass(frozen=True, slots=True)
class Files(Message):
    """A piece of a whole list, or a change of it.

    With ``whole`` it is a piece of a list that is being built aside, in the order of the names, and
    ``last`` swaps it in; else first ``removed`` leave the list and then the rows enter it or take
    the place of their old ones. Versions count from 1 in each generation, pieces included.
    Names are relative to the claim's folder; ``sizes`` in bytes, ``mtimes`` in ns since the epoch.
    """

    claim: U32
    generation: U64
    version: U64
    whole: bool
    last: bool
    removed: Names
    names: Names
    sizes: Numbers
    mtimes: Numbers
    flags: Flags


@dataclass(frozen=True, slots=True)
class FilesAck(Message):
    """The list of this generation is known up to ``version``."""

    claim: U32
    generation: U64
    version: U64


@dataclass(frozen=True, slots=True)
class Resync(Message):
    """A piece is missing, or the list is not known: send the next generation, whole."""

    claim: U32


@dataclass(frozen=True, slots=True)
class Claims(Message):
    """List the claims."""

    request: Request
    deadline_ms: U64


@dataclass(frozen=True, slots=True)
class ClaimLine:
    """One claim in CLAIM_LIST.

    Attributes:
        host: of the scout; with ``path`` it names the claim.
        path: the folder.
        scout: the agent's name; ``pid`` of its process, ``session`` with the broker.
        state: of that session.
        since_ms: since it was claimed.
        monitor: how the folder is watched.
        serving: its files are in every answer.
        why: if not, why not.
        generation: of the list; ``version`` within it.
        files: rows of the list.
    """

    host: Name
    path: Path
    scout: Name
    pid: U64
    session: U64
    state: Word
    since_ms: U64
    monitor: Word
    serving: bool
    why: Text
    generation: U64
    version: U64
    files: U64


@dataclass(frozen=True, slots=True)
class ClaimList(Message):
    """Claims by host and folder."""

    request: Request
    claims: Annotated[tuple[ClaimLine, ...], Length(MOST_CLAIMS), Payload()]


@dataclass(frozen=True, slots=True)
class FilesQuery(Message):
    """Rows of one claim whose names sort after ``after`` and begin with ``prefix``."""

    request: Request
    deadline_ms: U64
    host: Name
    path: Path
    prefix: Path
    after: Path
    limit: U32


@dataclass(frozen=True, slots=True)
class FilePage(Message):
    """Rows in the order of their names, as the list was at ``version`` of ``generation``."""

    request: Request
    generation: U64
    version: U64
    more: bool
    names: Names
    sizes: Numbers
    mtimes: Numbers
    flags: Flags


@dataclass(frozen=True, slots=True)
class FileChanges(Message):
    """Published: what one FILES changed in a list that is served.

    Whoever has the list at ``version`` - 1 has it at ``version`` after this.
    """

    origin: Origin
    seq: U64
    host: Name
    path: Path
    generation: U64
    version: U64
    removed: Names
    names: Names
    sizes: Numbers
    mtimes: Numbers
    flags: Flags


@dataclass(frozen=True, slots=True)
class ClaimStatus(Message):
    """Published: a claim is new, or serves, or serves no more, or has another generation.

    ``gone``: it has ended.
    """

    origin: Origin
    seq: U64
    claim: ClaimLine
    gone: bool


FILE_TOPICS: Final = b"files."
"""What the topics of file lists begin with."""


def files_topic(host: str) -> bytes:
    """The topic of the claims of a host: ``files.<host>``."""
    return f"files.{host}".encode()
