"""What is different between two lists."""

from collections.abc import Iterator
from typing import Final

from zfs_walk.lists.filelist import Columns, FileList, unpacked
from zfs_walk.protocol.files import MOST_ROWS

END: Final = (b"", b"")


def differences(old: FileList, new: FileList) -> Iterator[tuple[tuple[bytes, ...], Columns]]:
    """Names that ``new`` has no more, and its rows that are new or other ones, piece by piece."""
    removed: list[bytes] = []
    names: list[bytes] = []
    rows: list[bytes] = []
    olds, news = old.items(), new.items()
    before, after = next(olds, END), next(news, END)
    while before is not END or after is not END:
        if len(removed) + len(names) >= MOST_ROWS:
            yield tuple(removed), Columns(tuple(names), *unpacked(rows))
            removed, names, rows = [], [], []
        if after is END or (before is not END and before[0] < after[0]):
            removed.append(before[0])
            before = next(olds, END)
            continue
        if before != after:
            names.append(after[0])
            rows.append(after[1])
        if before is not END and before[0] == after[0]:
            before = next(olds, END)
        after = next(news, END)
    if removed or names:
        yield tuple(removed), Columns(tuple(names), *unpacked(rows))
