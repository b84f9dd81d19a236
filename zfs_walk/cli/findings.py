"""What `zfs-ctl doctor` finds: a line each, with its cure."""

from dataclasses import dataclass
from typing import Final

OK, WARN, BAD = "ok", "warn", "bad"
VERDICTS: Final = (OK, WARN, BAD)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: what was looked at.
        verdict: `OK`; `WARN`: it works and could be better; `BAD`: something does not work.
        detail: what was found.
        cure: what to do about it; empty if nothing is to be done.
    """

    check: str
    verdict: str
    detail: str
    cure: str = ""


def ok(check: str, detail: str) -> Finding:
    """Nothing is to be done."""
    return Finding(check, OK, detail)


def warn(check: str, detail: str, cure: str) -> Finding:
    """It could be better."""
    return Finding(check, WARN, detail, cure)


def bad(check: str, detail: str, cure: str) -> Finding:
    """Something does not work."""
    return Finding(check, BAD, detail, cure)


def worst(findings: list[Finding]) -> str:
    """The gravest verdict."""
    return max((finding.verdict for finding in findings), key=VERDICTS.index, default=OK)
