"""Where the report of a load run goes, and what its exit code says."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from zfs_walk.errors import (
    LoadRefusedError,
    LoadTroubleError,
    RunAbortedError,
    VerificationError,
    WrongUseError,
)

if TYPE_CHECKING:
    from zfs_walk.load.report import RunReport

KINDS: Final = (".txt", ".json", ".csv", ".html")
"""Files that a report can be."""


def check_files(files: Sequence[str]) -> None:
    """See that the reports can be written.

    Raises:
        WrongUseError: one can't be.
    """
    for file in files:
        path = Path(file)
        if path.suffix not in KINDS:
            kinds = ", ".join(KINDS)
            raise WrongUseError(reason=f"--report {file}: its name must end with one of {kinds}")
        check_writable("--report", path)


def check_writable(option: str, path: Path) -> None:
    """See that a file can be written, before an hour's run.

    Raises:
        WrongUseError: it can't be.
    """
    if not path.absolute().parent.is_dir():
        raise WrongUseError(reason=f"{option} {path}: there is no folder {path.parent}")
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise WrongUseError(reason=f"{option} {path}: it can't be written")


def write_files(report: "RunReport", files: Sequence[str]) -> None:
    """Write the report in the form that each file's name says."""
    from zfs_walk.load.report_html import as_html  # noqa: PLC0415 -- the package of an extra
    from zfs_walk.load.report_text import as_csv, as_text  # noqa: PLC0415 -- likewise

    forms: Mapping[str, Callable[[], str]] = {
        ".txt": lambda: as_text(report),
        ".json": lambda: as_json(report),
        ".csv": lambda: as_csv(report),
        ".html": lambda: as_html(report),
    }
    for file in files:
        Path(file).write_text(forms[Path(file).suffix](), encoding="utf-8")


def as_json(report: "RunReport") -> str:
    """The report's JSON, as text."""
    from zfs_walk.load.report_json import as_dict  # noqa: PLC0415 -- the package of an extra

    return json.dumps(as_dict(report), indent=1, ensure_ascii=False) + "\n"


def check_refusal(report: "RunReport") -> None:
    """See that there was a run at all.

    Raises:
        LoadRefusedError: it was refused.
        RunAbortedError: it was stopped before it began.
    """
    if report.refused:
        raise LoadRefusedError(reason=report.refused.rstrip("."))
    if report.state == "ABORTED":
        raise RunAbortedError(run=report.run, reason=report.cut_short)


def check_outcome(report: "RunReport") -> None:
    """See that nothing went wrong.

    Raises:
        VerificationError: it found bytes that are not those that were written.
        LoadTroubleError: a consumer had errors, or somebody was lost.
    """
    faults = sum(each.faults for each in report.figures)
    if faults:
        raise VerificationError(faults=faults)
    several = len(report.agents) > 1
    bad = [
        f"{agent.agent} on {agent.host}: {consumer.spec.name}" if several else consumer.spec.name
        for agent in report.agents
        for consumer in agent.consumers
        if not consumer.ok and not agent.lost
    ]
    trouble = [f"{', '.join(bad)} had errors, or ended early"] if bad else []
    lost = [f"{each.agent} on {each.host}" for each in report.agents if each.lost]
    if lost:
        trouble.append(f"{', '.join(lost)} {'were' if len(lost) > 1 else 'was'} lost")
    if trouble:
        raise LoadTroubleError(reason="; ".join(trouble))
