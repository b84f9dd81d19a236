"""The scout agent's shell: watches folders and tells the core what stirs."""

import dataclasses
import logging
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Final, Never

from zfs_walk.agents.link import Identity
from zfs_walk.agents.loop import AgentLoop
from zfs_walk.agents.scout.core import ScoutCore
from zfs_walk.agents.scout.events import Folder, Stirred
from zfs_walk.bus.loghandler import LogHandler
from zfs_walk.bus.sockets import Bus
from zfs_walk.protocol.files import Place
from zfs_walk.protocol.statistics import ClaimStatistics, ScoutStatistics
from zfs_walk.watch.folder import Folder as Found
from zfs_walk.watch.watch import Watch, WatchOptions

LOG: Final = logging.getLogger("zfs_walk.scout")


class ScoutLoop(AgentLoop[Stirred, Never]):
    """One scout agent; `run` until it has left."""

    def __init__(  # noqa: PLR0913, PLR0917 -- what a scout is made of
        self,
        folders: Sequence[Found],
        options: WatchOptions,
        bus: Bus,
        endpoints: Sequence[str],
        identity: Identity,
        patience: float,
        handler: LogHandler | None,
    ) -> None:
        """Nothing is watched yet.

        Args:
            folders: what is to be watched; none lies in another one.
            options: how.
            bus: this process's context.
            endpoints: of the broker, tried in turn.
            identity: who the agent is.
            patience: seconds to wait for a first broker.
            handler: what numbers and publishes this process's log records; None: nothing does.
        """
        self._stirred: deque[int] = deque()
        self._watches = [
            Watch(found.path, options, partial(self._stir, number))
            for number, found in enumerate(folders)
        ]
        claimed = [Folder(each.folder.path, *_places(each), each) for each in self._watches]
        self._scout = ScoutCore(identity, claimed, patience, time.monotonic())
        super().__init__(self._scout, bus, endpoints, patience, LOG, handler)

    def statistics(self) -> ScoutStatistics:
        """What the agent knows about itself and its folders."""
        return ScoutStatistics(
            self._scout.health(), tuple(map(self._claim_statistics, range(len(self._watches)))),
            self._vitals.own, self._tick.cpu_ms, self._lag_ms, *self._published(),
        )  # fmt: skip

    def _claim_statistics(self, number: int) -> ClaimStatistics:
        claim, known = self._scout.claims[number], self._watches[number].statistics()
        of_the_watch = {
            field.name: getattr(known, field.name) for field in dataclasses.fields(known)
        }
        return ClaimStatistics(**of_the_watch | {
            "path": claim.folder.path, "serving": claim.serving, "why": claim.refused or claim.why,
            "unsent": known.unsent + claim.sender.unsent,
        })  # fmt: skip

    def _stir(self, number: int) -> None:
        """Called by a watch's own thread."""
        self._stirred.append(number)
        self._wake.ring()

    def _begin(self) -> None:
        for number, watch in enumerate(self._watches):
            watch.start()
            self._stirred.append(number)

    def _end(self) -> None:
        for watch in self._watches:
            watch.close()

    def _own_events(self) -> list[Stirred]:
        numbers: dict[int, None] = {}
        while self._stirred:
            numbers[self._stirred.popleft()] = None
        return [self._state_of(number) for number in numbers]

    def _state_of(self, number: int) -> Stirred:
        watch = self._watches[number]
        state = watch.state
        return Stirred(
            number, *_places(watch), watch.statistics().monitor, state.serving, state.why
        )

    def _do(self, instruction: Never) -> None:
        """A scout's core has no instructions of its own."""


def _places(watch: Watch) -> tuple[Place, tuple[Place, ...]]:
    """The folder's identity, and those of all directories above it."""
    place, *ancestors = (Place(*each) for each in (watch.folder.place, *watch.folder.ancestors))
    return place, tuple(ancestors)
