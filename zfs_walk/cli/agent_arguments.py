"""What ``zfs-agent`` was told."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from zfs_walk.errors import WrongUseError

FOREVER: Final = 10.0 * 366 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentArguments:
    """The options of ``zfs-agent`` by their names; its help says what each means."""

    role: str
    broker: str
    allow: tuple[str, ...]
    name: str | None
    host: str | None
    state: str | None
    wait: bool
    timeout: float
    log_size: int
    log_count: int
    workers: int
    dir_timeout: float
    watch: tuple[str, ...]
    poll: float
    settle: float
    monitor: str
    no_recursive: bool
    hidden: bool
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    mappings: Any
    only: tuple[str, ...]
    confirm: tuple[str, ...]
    retry: tuple[str, ...]
    take_over: tuple[tuple[str, str], ...]
    bwlimit: int
    notify: str
    once: bool
    loads: Any
    target: tuple[str, ...]
    like: str
    set_: tuple[str, ...]
    rate: float
    bandwidth: int
    consumers: int
    duration: float
    max_fill: float
    seed: str
    heartbeat: float
    sample: float
    grace: float
    report: tuple[str, ...]
    witness: str

    @property
    def patience(self) -> float:
        """Seconds to wait for a first broker."""
        return FOREVER if self.wait else self.timeout

    def allowed(self) -> tuple[bytes, ...]:
        """Where the allowed folders really are; nothing if everything is allowed.

        Raises:
            WrongUseError: one is none.
        """
        missing = [folder for folder in self.allow if not Path(folder).is_dir()]
        if missing:
            raise WrongUseError(reason=f"--allow {missing[0]}: there is no such folder")
        real = tuple(os.fsencode(Path(folder).resolve()) for folder in self.allow)
        return () if b"/" in real else real
