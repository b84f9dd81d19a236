"""Logs what happens to files and mirrors that somebody may have to do something about."""

import logging
from collections.abc import Iterable
from typing import Final

from zfs_walk import names
from zfs_walk.mirror.handling import Happening, What
from zfs_walk.mirror.statistics import MirrorStatistics

LOG: Final = logging.getLogger("zfs_walk.uploader")

LEVELS: Final = {
    What.SENDING: logging.DEBUG,
    What.SENT: logging.DEBUG,
    What.MOVED: logging.DEBUG,
    What.DELETED: logging.DEBUG,
    What.HELD: logging.DEBUG,
    What.FAILED: logging.INFO,
    What.ASIDE: logging.WARNING,
}
"""Of what happens to a file. Held deletions are many; that there are some, their mirror says."""


class Narrator:
    """Logs for all mirrors of an agent."""

    def __init__(self) -> None:
        self._trouble: dict[str, str] = {}

    def happened(self, mapping: str, happening: Happening) -> None:
        """Something happened to a file of a mapping; any thread may tell."""
        level = LEVELS[happening.what]
        if not LOG.isEnabledFor(level):
            return
        action, detail = happening.action, happening.detail
        path, _ = names.text(action.path)
        LOG.log(
            level, "%s: %s %s%s", mapping, path, happening.what.value, detail and f": {detail}",
            extra={"mapping": mapping, "tries": action.tries},
        )  # fmt: skip

    def look(self, mirrors: Iterable[MirrorStatistics]) -> None:
        """See whether a mirror has come into trouble, or out of it."""
        for known in mirrors:
            trouble = known.handler.trouble if known.handler else ""
            before = self._trouble.get(known.name, "")
            self._trouble[known.name] = trouble
            if trouble and trouble != before:
                LOG.warning("%s: nothing is sent for now: %s", known.name, trouble)
            elif before and not trouble:
                LOG.info("%s: sending again", known.name)
