"""The roots of a walk: from the command line or a file, each there, none inside another."""

import os
import stat
from collections.abc import Sequence
from typing import BinaryIO

from zfs_walk.cli.summary import show_path
from zfs_walk.errors import WrongUseError
from zfs_walk.protocol.records import RootRecord
from zfs_walk.scan.interface import Root
from zfs_walk.scan.roots import identify, is_network, overlapping, resolve


def find_roots(
    paths: Sequence[str], source: BinaryIO | None, host: str, *, null: bool
) -> list[RootRecord]:
    """The roots that were asked for, with what this host sees there.

    Args:
        paths: of the command line.
        source: more of them, one a line.
        host: this host's name.
        null: those of ``source`` end with NUL instead.

    Raises:
        WrongUseError: there is none, one is missing, or one is inside another.
    """
    given = [os.fsencode(path) for path in paths]
    if source is not None:
        end = b"\0" if null else b"\n"
        given += [path for path in source.read().split(end) if path]
    if not given:
        raise WrongUseError(reason="no PATH was given; zfs-walk --help shows how")
    roots = [_find(path) for path in given]
    pair = overlapping(roots)
    if pair is not None:
        outer, inner = (show_path(root.path) for root in pair)
        raise WrongUseError(
            reason=f"{inner} is inside {outer} (or the same): its entries would count twice;"
            " leave one out"
        )
    return [
        RootRecord(root.path, host, root.fstype, root.ino, is_network(root.fstype))
        for root in roots
    ]


def _find(path: bytes) -> Root:
    try:
        root = identify(resolve(path))
        if path.endswith(b"/") and not stat.S_ISDIR(os.lstat(root.path).st_mode):
            raise WrongUseError(reason=f"{show_path(path)}: Not a directory")
    except ValueError as error:
        raise WrongUseError(reason=str(error)) from error
    except OSError as error:
        raise WrongUseError(reason=f"{show_path(path)}: {error.strerror}") from error
    return root
