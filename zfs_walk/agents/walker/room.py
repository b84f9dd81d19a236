"""What a worker keeps of one run."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from zfs_walk.agents.sending.place import SendingPlace
from zfs_walk.agents.walker.blackbox import Slot
from zfs_walk.agents.walker.staging import held
from zfs_walk.agents.walker.tasks import OpenRun
from zfs_walk.catalog.folder import check_token
from zfs_walk.errors import CatalogError
from zfs_walk.scan.columns import ROWS, TOTALS
from zfs_walk.scan.filters import Filter
from zfs_walk.scan.handles import is_within, outside
from zfs_walk.scan.interface import Directory, Root, Scan, Scanner, ScanOptions
from zfs_walk.scan.pure import PureScanner

if TYPE_CHECKING:
    from zfs_walk.agents.sending.sender import Sender

SEGMENTS: Final = "segments"
"""The folder of a catalog that holds its rows."""


class RefusedError(Exception):
    """This host can't go on with a run; the text says why."""


class RunRoom:
    """What the scanning thread keeps of one run: its scanner, and its sink if it sends."""

    def __init__(
        self, run: OpenRun, slot: Slot, allow: Sequence[bytes], place: SendingPlace
    ) -> None:
        """Check that the catalog is the run's, and may be written to, and open a scanner."""
        options = run.options
        self.stores_rows = bool(options.catalog)
        self.refused = ""
        self.sender: Sender | None = None
        if self.stores_rows and allow and not is_within(os.path.realpath(options.catalog), allow):
            self.refused = outside(options.catalog)
        elif self.stores_rows:
            try:
                check_token(os.fsdecode(options.catalog), options.token)
                with held(Path(os.fsdecode(options.catalog)) / SEGMENTS, allow):
                    pass
            except CatalogError as error:
                self.refused = str(error)
            except OSError as error:
                self.refused = error.strerror or str(error)
        self.scanner: Scanner = PureScanner(
            [Root(root.path, root.fstype, root.ino) for root in run.roots],
            ScanOptions(
                names_only=options.names_only,
                one_file_system=options.one_file_system,
                max_depth=None if options.max_depth < 0 else options.max_depth,
                part_limit=options.part_limit,
                columns=ROWS if self.stores_rows or options.to else TOTALS,
                filter=Filter(options.excludes, options.includes, options.default_excludes),
                within=tuple(allow),
                sends=bool(options.to),
            ),
            slot,
        )
        self._run, self._slot, self._allow, self._place = run, slot, allow, place

    def send(self, scan: Scan) -> dict[str, int] | None:
        """Send the files of a task, if the run does; what could not be is among its errors.

        Returns:
            What is to be counted; None: the worker was called back, and the task is not done.

        Raises:
            RefusedError: nothing can be sent from here.
        """
        if not self._run.options.to or not any(map(stat.S_ISREG, scan.columns.mode)):
            return {}
        # A walk that sends nothing does not pay for it.
        from zfs_walk.agents.sending.target import SendingRefusedError  # noqa: PLC0415

        try:
            if self.sender is None:
                # Not before: what is found meanwhile can be given to others, who open theirs.
                self.sender = self._open_sender()
            account = self.sender.send(scan.columns)
        except SendingRefusedError as error:
            raise RefusedError(error.reason) from error
        if account is None:
            return None
        scan.errors += account.errors
        return dict(account.counters)

    def _open_sender(self) -> "Sender":
        from zfs_walk.agents.sending.sender import Sender, Signs  # noqa: PLC0415

        options, slot = self._run.options, self._slot
        signs = Signs(slot.hurry, lambda directory: slot.note(Directory(0, directory)))
        [root] = self._run.roots
        return Sender(
            options.to, options.to_options, transfers=options.transfers, dry_run=options.dry_run,
            root=(root.path, root.ino), place=self._place, signs=signs, allow=self._allow,
        )  # fmt: skip

    def close(self) -> None:
        """Nothing more of the run will come."""
        self.scanner.close()
        if self.sender is not None:
            self.sender.close()
