"""The one tree of exceptions, importable by all.

The docstring of a class is the message that the user sees, with the fields of the exception filled
in, and ``exit_code`` is what the process ends with. `docs/exit-codes.md` is made from this module.
"""

import inspect
from typing import ClassVar


class ZfsWalkError(Exception):
    """zfs_walk failed: {reason}."""

    exit_code: ClassVar[int] = 3

    def __init__(self, **fields: object) -> None:
        self.fields = fields
        template = inspect.cleandoc(type(self).__doc__ or "")
        super().__init__(" ".join(template.format_map(fields).split()))


class WrongUseError(ZfsWalkError):
    """{reason}."""

    exit_code = 2


class InternalError(ZfsWalkError):
    """This is a bug in zfs_walk, please report it with the lines above: {reason}."""

    exit_code = 3


class NoBrokerError(ZfsWalkError):
    """No broker answers at {endpoint} (waited {waited:.0f} s).

    Start one with `zfs-broker`, or name another one with --broker.
    """

    exit_code = 4


class NoUploaderError(ZfsWalkError):
    """No uploader{named} runs with the state folder {path}.

    --state names the folder that the uploader was started with; without it the broker is asked.
    """

    exit_code = 4


class VersionRefusedError(ZfsWalkError):
    """The broker at {endpoint} speaks protocol {theirs}, this program {ours}.

    Install the same release of zfs_walk on both sides, the broker's first.
    """

    exit_code = 5


class RefusedError(ZfsWalkError):
    """The broker refused: {code}: {detail}."""

    exit_code = 2


class ClaimRefusedError(ZfsWalkError):
    """The broker refuses a folder: {detail}.

    Watch another one, or end the scout that has it (`zfs-ctl agent drain`).
    """

    exit_code = 2


class StateInUseError(ZfsWalkError):
    """Another process (pid {pid}) already uses the state folder {path}.

    Stop it first, or give this one a folder of its own with --state.
    """

    exit_code = 6


class StateError(ZfsWalkError):
    """The state folder {path} can't be used: {reason}."""

    exit_code = 6


class JournalError(ZfsWalkError):
    """The journal {path} could not be written: {reason}.

    Nothing is lost: free space or repair the disk, then start again; the work goes on where the
    journal stands.
    """

    exit_code = 7


class RunStalledError(ZfsWalkError):
    """Run {run} can't go on: {reason}. It is paused, nothing is lost. {resume}"""  # noqa: D415 -- the way out is a command

    exit_code = 8


class CatalogError(ZfsWalkError):
    """The catalog {path} can't be used: {reason}."""

    exit_code = 9


class MissingExtraError(ZfsWalkError):
    """{feature} needs a package that is not installed ({package}).

    Install it with: pip install 'zfs_walk[{extra}]'.
    """

    exit_code = 10


class LeftBehindError(ZfsWalkError):
    """Mirrored, but for {aside} files that were set aside and {held} deletions that are held.

    The log names them. Deletions that are meant go with --confirm MAPPING.
    """

    exit_code = 1


class MirrorStuckError(ZfsWalkError):
    """{name} can't be mirrored: {reason}.

    Nothing is lost: start it again when that has been put right.
    """

    exit_code = 15


class LoadRefusedError(ZfsWalkError):
    """The load test is refused: {reason}."""

    exit_code = 2


class LoadTroubleError(ZfsWalkError):
    """The load test is done, but {reason}. The report tells what happened."""

    exit_code = 1


class VerificationError(ZfsWalkError):
    """{faults} faults were found in what was written. The report names files and offsets."""

    exit_code = 16


class RunPausedError(ZfsWalkError):
    """Run {run} is paused. {resume}"""  # noqa: D415 -- the way out is a command

    exit_code = 11


class RunAbortedError(ZfsWalkError):
    """Run {run} was aborted: {reason}."""

    exit_code = 12


class ProcessDiedError(ZfsWalkError):
    """{what} ended unexpectedly: {reason}."""

    exit_code = 13


class KeyFileError(ZfsWalkError):
    """The key file {path} can't be used: {reason}."""

    exit_code = 14


class NoKeyError(ZfsWalkError):
    """There is no key for the broker at {endpoint}.

    `zfs-broker` makes one for whoever starts it; everybody else is given one by its operator, with
    `zfs-ctl key add NAME --role ROLE -o FILE`: name it with --broker FILE, or keep it as
    ~/.config/zfs_walk/connection.json.
    """

    exit_code = 14


class HandshakeError(ZfsWalkError):
    """The broker at {endpoint} can't be spoken to: {reason}.

    Ask its operator for a connection file (`zfs-ctl key add`).
    """

    exit_code = 14


class MonitorError(ZfsWalkError):
    """{folder} can't be watched with {monitor}: {reason}.

    Choose another way with --monitor: `auto` takes the best one that is possible, `poll` always is.
    """

    exit_code = 2


class FolderError(ZfsWalkError):
    """The folder {path} can't be watched: {reason}.

    Name a directory that this user may list and search.
    """

    exit_code = 2
