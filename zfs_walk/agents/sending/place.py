"""What a worker is told of its agent about sending."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SendingPlace:
    """Where an agent keeps what must outlive its workers, and who reads a dry run.

    Attributes:
        folder: for notes of transfers that were begun; shared by all agents with this state folder.
        plan: how a dry run prints what it would send on stdout: ``text`` or ``json``; empty: it
            does not, as nobody would read it, and such a run is refused.
    """

    folder: Path
    plan: str = ""
