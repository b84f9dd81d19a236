"""What is there of a file, compared with the file; and what was begun, taken away."""

from collections import deque
from typing import Final

from zfs_walk.sinks import sftp_wire as wire
from zfs_walk.sinks.interface import Memory, Report
from zfs_walk.sinks.sftp_answers import Status, StatusError
from zfs_walk.sinks.sftp_session import Session
from zfs_walk.sinks.sftp_tree import Tree
from zfs_walk.sinks.source import Source

AHEAD: Final = 8 << 20
"""Bytes under way: more than the 2 MiB that sshd takes ahead, and enough for 64 of its blocks."""

PART: Final = "part"
"""What the unfinished name is noted as."""


def equal_up_to(
    session: Session, handle: bytes, source: Source, span: tuple[int, int], report: Report
) -> int:
    """Compare what is there with the file; returns up to where they are equal."""
    start, end = span
    block = session.block
    asked: deque[tuple[int, int]] = deque()
    tried = False
    try:
        while start < end or asked:
            # One first: a server that refuses is not to refuse a hundred.
            while start < end and len(asked) * block < (AHEAD if tried else 1):
                size = min(block, end - start)
                asked.append((start, session.ask(wire.read(handle, start, size))))
                start += size
            at, number = asked.popleft()
            size = min(block, end - at)
            data = session.answer(number).data()
            tried = True
            report(0)  # may end it
            while len(data) < size:  # a server may send less than it was asked for
                data += session.do(wire.read(handle, at + len(data), size - len(data))).data()
            if data != source.read(size, at):
                return at
    except StatusError as error:
        if error.status != Status.EOF:
            raise
        return 0  # it became shorter while it was read
    finally:
        for _, number in asked:
            session.forget(number)
    return end


def abandon(session: Session, tree: Tree, path: bytes, memory: Memory) -> None:
    """Take away what was noted."""
    noted = memory.load().get(PART)
    if noted is not None and tree.enter(session, tree.above(path)):
        try:
            session.do(wire.remove(tree.beside(path, noted.encode()))).done()
        except StatusError as error:
            if error.status != Status.NO_SUCH_FILE:
                raise
