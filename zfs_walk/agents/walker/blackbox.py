"""A page of memory that an agent shares with its workers, readable after a worker's death.

One slot per worker: how much the agent is in a hurry, how many directories the worker has begun,
and the one that it is at. The page is anonymous memory made before the zygote is forked, so it goes
with the processes.
"""

import mmap
import struct

from zfs_walk.scan.interface import Directory

SLOT = 8192
"""Bytes of a slot: the header and a path of up to 8,168 bytes; longer ones are not noted."""

_HURRY = 0
_STATE = struct.Struct("=QIII")  # directories begun, root, part, length of the path + 1
_STATE_AT = 8
_PATH_AT = _STATE_AT + _STATE.size
LONGEST = SLOT - _PATH_AT

NO_PATH = 0
"""Fresh memory is zero, and so means that the worker is at nothing; else it is the length + 1."""


class BlackBox:
    """The whole page."""

    def __init__(self, slots: int) -> None:
        """Make a page with this many slots, all empty; one that was never used costs no memory."""
        self._page = mmap.mmap(-1, slots * SLOT)
        self.slots = slots

    def slot(self, number: int) -> "Slot":
        """One worker's slot, for the worker."""
        return Slot(memoryview(self._page)[number * SLOT : (number + 1) * SLOT])

    def hurry(self, slot: int, level: int) -> None:
        """Tell a worker how soon it is to come back."""
        self._page[slot * SLOT + _HURRY] = level

    def clear(self, slot: int) -> None:
        """Make a slot empty, for a new worker."""
        self._page[slot * SLOT + _HURRY] = 0
        _STATE.pack_into(self._page, slot * SLOT + _STATE_AT, 0, 0, 0, NO_PATH)

    def begun(self, slot: int) -> int:
        """How many directories the worker has begun: its sign of progress."""
        begun: int = _STATE.unpack_from(self._page, slot * SLOT + _STATE_AT)[0]
        return begun

    def place(self, slot: int) -> tuple[int, bytes, int] | None:
        """The root, path and part that the worker is or was at, if any."""
        at = slot * SLOT
        _, root, part, noted = _STATE.unpack_from(self._page, at + _STATE_AT)
        if noted == NO_PATH:
            return None
        return root, bytes(self._page[at + _PATH_AT : at + _PATH_AT + noted - 1]), part


class Slot:
    """One worker's slot; a scanner's `Trace`."""

    def __init__(self, memory: memoryview) -> None:
        """Take the slot's bytes."""
        self._memory = memory
        self._begun = 0
        self.hurry = memory[_HURRY : _HURRY + 1]
        self.part = 0

    def note(self, directory: Directory) -> None:
        """Note the directory that is about to be opened."""
        path = directory.path
        self._begun += 1
        length = len(path)
        memory = self._memory
        if length > LONGEST:
            _STATE.pack_into(memory, _STATE_AT, self._begun, 0, 0, NO_PATH)
            return
        memory[_PATH_AT : _PATH_AT + length] = path
        _STATE.pack_into(memory, _STATE_AT, self._begun, directory.root, self.part, length + 1)

    def done(self) -> None:
        """The worker is at nothing any more."""
        _STATE.pack_into(self._memory, _STATE_AT, self._begun, 0, 0, NO_PATH)
