"""What the command line of a walk asks for."""

import os
from dataclasses import dataclass
from typing import BinaryIO

from zfs_walk.cli.keep import Prepared
from zfs_walk.errors import WrongUseError
from zfs_walk.protocol.records import WalkOptions
from zfs_walk.scan.filters import Filter


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkArguments:
    """The options of ``zfs-walk`` by their names; its help says what each means."""

    paths: tuple[str, ...]
    roots_from: BinaryIO | None
    null: bool
    broker: str | None
    workers: int
    names_only: bool
    one_file_system: bool
    max_depth: int | None
    exclude: tuple[str, ...]
    include: tuple[str, ...]
    no_default_excludes: bool
    output: str | None
    to: str | None
    to_options: str
    transfers: int
    dry_run: bool
    json: bool
    quiet: bool
    resume: int | None
    attach: int | None
    detach: bool
    min_agents: int
    part_limit: int
    dir_timeout: float
    timeout: float
    state: str | None
    host: str | None

    @property
    def earlier(self) -> int | None:
        """The run that is to be gone on with or followed, if it is no new one."""
        return self.resume if self.resume is not None else self.attach

    def options(self, catalog: Prepared | None = None) -> WalkOptions:
        """The run's options; patterns are checked here, where their author still listens.

        Raises:
            WrongUseError: a pattern is none.
        """
        try:
            Filter(self.exclude, self.include)
        except ValueError as error:
            raise WrongUseError(reason=str(error)) from error
        if self.to and self.names_only:
            raise WrongUseError(reason="--to needs sizes and times: leave --names-only out")
        return WalkOptions(
            names_only=self.names_only,
            one_file_system=self.one_file_system,
            max_depth=-1 if self.max_depth is None else self.max_depth,
            part_limit=self.part_limit,
            excludes=self.exclude,
            includes=self.include,
            default_excludes=not self.no_default_excludes,
            catalog=b"" if catalog is None else os.fsencode(catalog.folder),
            token="" if catalog is None else catalog.token,
            to=self.to or "",
            to_options=self.to_options,
            transfers=self.transfers,
            dry_run=self.dry_run,
        )
