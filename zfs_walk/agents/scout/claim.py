"""One claimed folder as its scout sees it: asked for, standing, refused. No I/O, no clock."""

import logging
import math
import os
from dataclasses import replace
from typing import Final

from zfs_walk.agents.events import CommonInstruction, Note, Send
from zfs_walk.agents.scout.events import Folder, Stirred
from zfs_walk.agents.scout.sender import Sender
from zfs_walk.protocol.files import Claim, Claimed, ClaimRefused

PATIENCE: Final = 2
"""Heartbeats without an answer after which a message is sent again."""


class OwnClaim:
    """Asks for a folder until it stands, and tells the broker how it is watched.

    Attributes:
        folder: what is claimed.
        stood: the broker has granted it to this process at least once.
        refused: why the broker does not want it any more; empty: it does.
        sender: brings its list over.
    """

    def __init__(self, number: int, folder: Folder, out: list[CommonInstruction]) -> None:
        """Nothing was asked yet.

        Args:
            number: of the claim.
            folder: what is claimed.
            out: where instructions go.
        """
        self.stood = False
        self.refused = ""
        self.sender = Sender(number, folder.source, out)
        self._number = number
        self.folder = folder
        self._out = out
        self._monitor = ""
        self._serving = False
        self._why = "its watch has not begun"
        self._said: Claim | None = None
        self._due = 0.0

    @property
    def path(self) -> str:
        """The folder, as it is shown."""
        return os.fsdecode(self.folder.path).encode(errors="backslashreplace").decode()

    @property
    def serving(self) -> bool:
        """The broker may answer with the list that it has, as far as this scout knows."""
        return self._serving and self.sender.caught_up

    @property
    def why(self) -> str:
        """Why not."""
        if self.serving:
            return ""
        return self._why if not self._serving else "its list is on the way to the broker"

    def stirred(self, event: Stirred) -> None:
        """The watch has another state, or there is something to send."""
        self.folder = replace(self.folder, place=event.place, ancestors=event.ancestors)
        self._monitor, self._serving, self._why = event.monitor, event.serving, event.why
        self.sender.is_serving(serving=event.serving)

    def welcomed(self, now: float) -> None:
        """A broker that may know nothing of this claim listens."""
        self._said = None
        self._due = now
        self.sender.pause()

    def slept(self, gap: float, now: float) -> None:
        """The process slept for ``gap`` seconds: the folder may be another scout's by now.

        Nobody tells a session that was LOST and is heard again what it has lost.
        """
        self._due = now if self.stood and not self.refused else self._due + gap
        self.sender.shift(gap)

    def granted(self, message: Claimed, now: float) -> None:
        """The claim stands."""
        if self.refused:
            self._out.append(Note(logging.WARNING, f"{self.path} is claimed again"))
        self.stood, self.refused = True, ""
        self._due = math.inf
        self.sender.claimed(message.generation, message.version, now)

    def resync(self, now: float) -> None:
        """The broker has lost the list, or the claim with it."""
        self.sender.resync()
        self._due = now

    def lost(self, message: ClaimRefused, again: float, now: float) -> None:
        """Somebody took the folder while this scout was LOST, say: try again later.

        Args:
            message: what the broker says.
            again: seconds until then.
            now: monotonic seconds.
        """
        if self.refused != message.detail:
            text = f"{self.path} is in no answer any more: {message.detail}"
            self._out.append(Note(logging.ERROR, text))
        self.refused = message.detail
        self._said = None
        self._due = now + again
        self.sender.pause()

    def advance(self, heartbeat: float, now: float) -> None:
        """Ask for the claim, or tell what is new about it, and send what there is."""
        self.sender.resend_overdue(PATIENCE * heartbeat, now)
        self.sender.advance(now)
        claim = self._message()
        changed = self._said is not None and self._said != claim
        if changed or now >= self._due:
            self._said = claim
            self._due = now + PATIENCE * heartbeat
            self._out.append(Send(claim))

    def _message(self) -> Claim:
        folder = self.folder
        return Claim(
            self._number, folder.path, folder.place, folder.ancestors, self._monitor, self.serving,
            self.why[:4096],
        )  # fmt: skip
