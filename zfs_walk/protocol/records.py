"""Records that messages are made of; on the wire each is a list of its fields."""

from dataclasses import dataclass
from typing import Annotated

from zfs_walk.protocol.schema import (
    I64,
    U32,
    U64,
    Inode,
    Length,
    Name,
    OneOf,
    Path,
    Range,
    Text,
    Word,
)

DIR, PART = 0, 1
"""Kinds of items."""

Kind = Annotated[int, Range(DIR, PART)]
RunState = Annotated[
    str,
    OneOf(("RUNNING", "DRAINING", "PAUSED", "DONE", "DONE_WITH_ERRORS", "ABORTED")),
]


@dataclass(frozen=True, slots=True)
class Item:
    """A piece of unwalked tree; its number is unique in (unit, epoch) and never used again there.

    Attributes:
        n: the item's number.
        kind: `DIR` (a directory) or `PART` (some names of a wide one).
        root: index of the run's root.
        path: below that root; empty for the root itself.
        part: for a PART: only names with ``crc32(name) % parts == part``; else 0.
        parts: for a PART; else 0.
        deaths: how many workers died over it so far.
    """

    n: U64
    kind: Kind
    root: U32
    path: Path
    part: U32 = 0
    parts: U32 = 0
    deaths: U32 = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """A unit that an agent says it holds, in HELLO: the last of its commits that was ACKed."""

    uid: U64
    epoch: U64
    acked_seq: U64


@dataclass(frozen=True, slots=True)
class Holding:
    """A lease that a HEARTBEAT renews; ``stealable`` is how many items it could give away."""

    uid: U64
    epoch: U64
    stealable: U64


@dataclass(frozen=True, slots=True)
class Standing:
    """A unit that WELCOME names to keep or to drop, and the last commit applied in that epoch."""

    uid: U64
    epoch: U64
    applied: U64


@dataclass(frozen=True, slots=True)
class RootRecord:
    """Where a run begins and what its submitter saw there.

    ``network`` is true when the file system is a shared one: then any host whose root matches may
    walk it; else only ``host``.
    """

    path: Path
    host: Name
    fstype: Word
    ino: Inode
    network: bool


@dataclass(frozen=True, slots=True)
class WalkOptions:
    """How a run walks; the same for every agent of it.

    ``max_depth`` is -1 for no limit. ``catalog`` is the folder that segments go to, empty for a
    run that stores no rows; ``token`` is what that folder's token file must hold. ``to`` is the URL
    of the sink that every regular file is sent to, empty for a run that sends nothing;
    ``to_options`` are the sink's options as JSON, none of them a secret; ``transfers`` is how many
    files a worker sends at once; ``dry_run``: nothing is sent, what would be is printed.
    """

    names_only: bool
    one_file_system: bool
    max_depth: I64
    part_limit: U64
    excludes: Annotated[tuple[Text, ...], Length(1024)]
    includes: Annotated[tuple[Text, ...], Length(1024)]
    default_excludes: bool
    catalog: Path
    token: Word
    to: Text = ""
    to_options: Text = "{}"
    transfers: U32 = 0
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of result rows in the run's catalog folder, durable before the commit lists it."""

    name: Name
    kind: Word
    rows: U64
    size: U64
    checksum: Name


@dataclass(frozen=True, slots=True)
class Problem:
    """An entry that could not be read, listed or sent: absolute path, errno and class.

    ``reason`` is empty where the errno tells it all.
    """

    path: Path
    errno: I64
    kind: Word
    reason: Text = ""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """An item that is given up, because workers died over it or it can't be read."""

    item: Item
    reason: Text


@dataclass(frozen=True, slots=True)
class Suspect:
    """How many workers have died over an item that the broker knows."""

    n: U64
    deaths: U32


@dataclass(frozen=True, slots=True)
class RunNote:
    """A run's state, as HEARTBEAT_ACK tells it to agents."""

    run: U64
    state: RunState


@dataclass(frozen=True, slots=True)
class LiveCount:
    """Entries of a run that an agent has counted and not yet committed; for progress only."""

    run: U64
    entries: U64
    errors: U64
    waiting: U64


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run in RUN_LIST; ``entries`` has what agents counted and did not commit yet.

    ``sent_files`` and ``sent_bytes``: of a run that sends, as committed.
    """

    run: U64
    state: RunState
    roots: Annotated[tuple[Path, ...], Length(4096)]
    entries: U64
    items_left: U64
    age_ms: U64
    sent_files: U64 = 0
    sent_bytes: U64 = 0


@dataclass(frozen=True, slots=True)
class AgentLine:
    """One agent's session in AGENT_LIST."""

    session: U64
    role: Word
    host: Name
    name: Name
    pid: U64
    version: Word
    capacity: U32
    state: Word
    silent_ms: U64
    units: U32
    rss: U64


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a broker's other sockets are: empty for what it does not have.

    Attributes:
        publish: takes the PUB of logs and status.
        subscribe: a SUB gets them there.
        http: of the gateway.
    """

    publish: Text
    subscribe: Text
    http: Text


@dataclass(frozen=True, slots=True)
class KeyLine:
    """One key in KEY_LINES.

    Attributes:
        name: given when it was added.
        public: the public key in Z85.
        roles: what it may be used for.
        created_ns: since the epoch; ``revoked_ns`` 0: it is valid.
        sessions: of agents and clients that are connected with it now.
    """

    name: Name
    public: Word
    roles: Annotated[tuple[Word, ...], Length(8)]
    created_ns: U64
    revoked_ns: U64
    sessions: U32


NO_ENDPOINTS = Endpoints("", "", "")
