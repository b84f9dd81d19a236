"""What can go wrong with a sink, by what follows from it.

A sink translates whatever its library raises into one of these; `reason` names the cause in words,
the server's own among them, and no secret.
"""

from typing import ClassVar

from zfs_walk.errors import ZfsWalkError


class SinkError(ZfsWalkError):
    """{place}: {reason}."""

    exit_code = 15

    whole: ClassVar[bool] = False
    """It concerns the sink, not the one file: nothing is sent until `Sink.check` passes."""

    again: ClassVar[bool] = True
    """Waiting may help."""


class TransientError(SinkError):
    """{place}: {reason}; it will be tried again."""


class CorruptedError(TransientError):
    """{place}: {reason}: what arrived is not what was sent; it will be sent again."""


class FileRefusedError(SinkError):
    """{place}: {reason}."""

    again = False


class DeniedError(FileRefusedError):
    """{place}: {reason}; it will be tried again, as a denial of one file may pass."""

    again = True


class NameRefusedError(FileRefusedError):
    """{place}: there can be no such name: {reason}."""


class MissingError(SinkError):
    """{place}: {reason}: it is not there."""

    again = False


class UnreachableSinkError(SinkError):
    """{place} can't be reached: {reason}; sending goes on when it can."""

    whole = True


class FullSinkError(SinkError):
    """{place} is full: {reason}; sending goes on when there is room."""

    whole = True


class SinkRefusedError(SinkError):
    """{place} refuses: {reason}; sending goes on when that has been put right."""

    whole = True
    again = False


class UnknownHostError(SinkRefusedError):
    """{place} refuses: {reason}; sending goes on when that has been put right."""


class ChangedError(Exception):
    """The local file is another one than when it was opened."""


class StoppedError(Exception):
    """The transfer is to end now; it is gone on with later."""
