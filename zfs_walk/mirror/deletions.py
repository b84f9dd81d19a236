"""Whether what is to be deleted may be."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from zfs_walk.mirror.folder import Folder, Opened
from zfs_walk.mirror.handling import Guard, HandlerOptions
from zfs_walk.mirror.journal import Journal
from zfs_walk.mirror.plan import Delete, Local, decide
from zfs_walk.mirror.records import Action, Kind


@dataclass(slots=True)
class Verdict:
    """What becomes of deletions.

    Attributes:
        approved: they may be done, or ask for nothing.
        back: their files are there again; they are sent like all others.
        held: each with the reason.
        early: they wait for a move that is tried again.
    """

    approved: list[Action] = field(default_factory=list)
    back: list[Action] = field(default_factory=list)
    held: list[tuple[Action, str]] = field(default_factory=list)
    early: list[Action] = field(default_factory=list)


class Deletions:
    """Judges deletions.

    Args:
        journal: that they are taken from.
        folder: that is mirrored.
        options: how files are sent.
        guard: is asked.
    """

    def __init__(
        self, journal: Journal, folder: Folder, options: HandlerOptions, guard: Guard
    ) -> None:
        self._journal = journal
        self._folder = folder
        self._options = options
        self._guard = guard

    def judge(self, actions: Sequence[Action], awaited: Callable[[bytes], bool]) -> Verdict:
        """What becomes of these.

        Args:
            actions: deletions in hand.
            awaited: whether a name will be moved away by a move that is tried again.

        Raises:
            OtherFolderError: nothing can be judged.
        """
        verdict = Verdict()
        doubts: dict[str, list[Action]] = {}
        with self._folder.opened() as opened:
            for action in actions:
                if awaited(action.path):
                    verdict.early.append(action)
                else:
                    self._sort(opened, action, verdict, doubts)
        for doubt, group in doubts.items():
            why = self._guard([action.path for action in group], doubt)
            if why:
                verdict.held += [(action, why) for action in group]
            else:
                verdict.approved += group
        return verdict

    def _sort(
        self, opened: Opened, action: Action, verdict: Verdict, doubts: dict[str, list[Action]]
    ) -> None:
        found = opened.look(action.path)
        if isinstance(found, Local):
            verdict.back.append(replace(action, kind=Kind.SEND))
            return
        entry = self._journal.entry(action.path)
        decision = decide(action, found, entry, [], complete_sync=self._options.complete_sync)
        if isinstance(decision, Delete) and not action.confirmed:
            doubts.setdefault(decision.doubt, []).append(action)
        else:
            verdict.approved.append(action)
