"""``zfs-ctl load witness``: scouts and uploaders, judged by what a load generator did."""
# ruff: noqa: PLC0415 -- whoever asks for --help does not wait for ZeroMQ

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from zfs_walk import names
from zfs_walk.cli.asking import EXIT_CODES, at_a_bus
from zfs_walk.cli.command import ENVIRONMENT, SECONDS, set_up_logging
from zfs_walk.errors import WrongUseError

if TYPE_CHECKING:
    from zfs_walk.cli.witnessing import Source
    from zfs_walk.load.judge import Judge, Verdict
    from zfs_walk.load.witness import WitnessFile

LOOK_EVERY: Final = 0.25
"""Seconds between two looks at the witness, the lists, and the database."""

NOT_ALL: Final = 1
"""Exit code when a verdict is not good."""

PERCENTS: Final = (50.0, 90.0, 99.0)

FILES: Final = "files"
UPLOADS: Final = "uploads"


@click.command(
    "witness",
    epilog="""Examples:

\b
  zfs-ctl load witness load.jsonl --files
  zfs-ctl load witness load.jsonl --uploads sqlite:////var/lib/zfs_walk/notifications.db --json

Exit codes: 1 something is missing, superfluous or of another size."""
    + EXIT_CODES,
    context_settings=ENVIRONMENT,
)
@click.argument("witness", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--files", "of_files", is_flag=True,
              help="Judge the lists of scouts, followed from now on: start it before the load, if"
              " you want to know delays.")  # fmt: skip
@click.option("--uploads", metavar="URL", default="",
              help="Judge uploaders by the database that they tell (their --notify).")  # fmt: skip
@click.option("--wait", type=SECONDS, default=10.0, show_default=True,
              help="Seconds without news after which it is judged as it is.")  # fmt: skip
@at_a_bus
def witness(  # noqa: PLR0913, PLR0917 -- one argument an option
    witness: Path, uploads: str, wait: float, broker: str, timeout: float, verbose: int,
    *, of_files: bool, json_: bool,
) -> None:  # fmt: skip
    """Judge scouts or uploaders by WITNESS, what `zfs-agent --role loadgen --witness` wrote.

    It ends when the load is over and everything is as it should be, or when nothing has happened
    for --wait seconds.
    """
    from zfs_walk.cli.witnessing import Lists, Uploads
    from zfs_walk.load.judge import Judge
    from zfs_walk.load.witness import WitnessFile

    set_up_logging(verbose)
    if not of_files and not uploads:
        raise WrongUseError(reason="--files or --uploads URL, or both, are wanted")
    judges: dict[str, Judge] = {}
    sources: list[Source] = []
    try:
        if of_files:
            judges[FILES] = Judge()
            sources.append(Lists(broker, timeout, _say))
        if uploads:
            judges[UPLOADS] = Judge(keeps=True)
            sources.append(Uploads(uploads))
        _follow(WitnessFile(witness), list(judges.values()), sources, wait)
    finally:
        for source in sources:
            source.close()
    verdicts = {kind: judge.verdict() for kind, judge in judges.items()}
    if not any(verdict.closed for verdict in verdicts.values()):
        raise WrongUseError(reason=f"{witness}: it tells of no file that was made")
    if json_:
        told = {kind: _fields(verdict) for kind, verdict in verdicts.items()}
        click.echo(json.dumps({"schema": 1, **told}, indent=1))
    else:
        for kind, verdict in verdicts.items():
            for line in _lines(kind, verdict):
                click.echo(line)
    if not all(verdict.ok for verdict in verdicts.values()):
        raise SystemExit(NOT_ALL)


def _follow(
    witness: "WitnessFile", judges: Sequence["Judge"], sources: Sequence["Source"], wait: float
) -> None:
    """Until nothing is open, or nothing happens."""
    news_at = time.monotonic()
    while True:
        # In this order: whatever is reported, the witness had told before.
        heard = [source.take() for source in sources]
        rows = witness.new()
        news = bool(rows)
        for judge, reports in zip(judges, heard, strict=True):
            for row in rows:
                judge.witnessed(row)
            for report in reports:
                # What others do meanwhile is no reason to go on.
                news |= report(judge)
        now = time.monotonic()
        if news:
            news_at = now
        if all(judge.is_over and judge.agrees for judge in judges) or now - news_at > wait:
            return
        time.sleep(LOOK_EVERY)


def _fields(verdict: "Verdict") -> dict[str, Any]:
    """A verdict's JSON (docs/json.md)."""
    delays = verdict.delays
    return {
        "ok": verdict.ok,
        "recall": verdict.recall,
        "closed": verdict.closed,
        "deleted": verdict.deleted,
        "deleted_seen": verdict.deleted_seen,
        "there": verdict.there,
        "seen": verdict.seen,
        "missing": verdict.missing,
        "other_size": verdict.other_size,
        "superfluous": verdict.superfluous,
        "delay_ns": {
            "count": len(delays),
            "min": delays[0] if delays else 0,
            **{f"p{percent:g}": verdict.delay(percent) for percent in PERCENTS},
            "max": delays[-1] if delays else 0,
        },
        "examples": {
            kind: [names.to_json(path) for path in paths]
            for kind, paths in verdict.examples.items()
        },
    }


def _lines(kind: str, verdict: "Verdict") -> list[str]:
    """A verdict for people."""
    from zfs_walk.cli.summary import show_path

    what = "listed" if kind == FILES else "on the other side"
    seen, there = f"{verdict.seen:,}", f"{verdict.there:,}"
    faults = ("missing", "other_size", "superfluous")
    counted = ", ".join(f"{each.replace('_', ' ')} {getattr(verdict, each):,}" for each in faults)
    gone = f"of {verdict.deleted:,} that went again, {verdict.deleted_seen:,} were"
    lines = [
        f"{kind}: {seen} of {there} files are {what}: recall {verdict.recall:.6f}",
        f"  {counted}; {gone}",
    ]
    if verdict.delays:
        shown = ", ".join(f"p{each:g} {verdict.delay(each) / 1e6:.1f}" for each in PERCENTS)
        lines.append(
            f"  ms after the close: {shown}, at most {verdict.delays[-1] / 1e6:.1f}"
            f" (of {len(verdict.delays):,} files)"
        )
    for fault, paths in verdict.examples.items():
        lines += [f"  {fault.replace('_', ' ')}: {show_path(path)}" for path in paths[:10]]
    return lines


def _say(text: str) -> None:
    click.echo(f"zfs-ctl: {text}", err=True)
