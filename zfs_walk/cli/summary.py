"""What a finished walk prints: a short text page, or JSON (docs/json.md)."""

import os
from datetime import timedelta
from typing import Any

from zfs_walk import names
from zfs_walk.catalog.totals import Totals
from zfs_walk.cli import sending
from zfs_walk.protocol.messages import RunStatus
from zfs_walk.protocol.records import Problem

SCHEMA = 1

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def as_json(status: RunStatus) -> dict[str, Any]:
    """The run as the documented JSON object."""
    totals = Totals.from_counters(status.counters)
    numbers: dict[str, Any] = dict(totals.as_dict())
    if status.options.names_only:
        numbers["size"] = numbers["allocated"] = None
    return {
        "schema": SCHEMA,
        "run": status.run,
        "state": status.state,
        "roots": [names.to_json(root.path) for root in status.roots],
        **numbers,
        "seconds": status.elapsed_ms / 1000,
        "errors_by_class": dict(sorted(totals.error_classes.items())),
        "excluded_by_default": totals.excluded_default,
        "error_examples": [_problem_json(problem) for problem in status.errors],
        **sending.as_json(status.options, status.counters),
        "quarantined": [
            {
                **names.to_json(_path_of(status, item.item.root, item.item.path)),
                "reason": item.reason,
            }
            for item in status.quarantined
        ],
    }


def _problem_json(problem: Problem) -> dict[str, Any]:
    told = {**names.to_json(problem.path), "errno": problem.errno, "class": problem.kind}
    return told | ({"reason": problem.reason} if problem.reason else {})


def _path_of(status: RunStatus, root: int, path: bytes) -> bytes:
    base = status.roots[root].path
    return base if not path else base.rstrip(b"/") + b"/" + path


def as_text(status: RunStatus) -> str:
    """The run as a short page."""
    totals = Totals.from_counters(status.counters)
    seconds = status.elapsed_ms / 1000
    rate = totals.entries / seconds if seconds else 0.0
    lines = [
        ", ".join(show_path(root.path) for root in status.roots),
        f"  entries      {totals.entries:>16,}",
        f"  directories  {totals.directories:>16,}",
        f"  files        {totals.files:>16,}",
        f"  symlinks     {totals.symlinks:>16,}",
        f"  other        {totals.other:>16,}",
    ]
    if not status.options.names_only:
        lines += [
            f"  size         {totals.size:>16,} bytes ({human(totals.size)})",
            f"  allocated    {totals.allocated:>16,} bytes ({human(totals.allocated)})",
        ]
    if totals.excluded:
        lines.append(f"  excluded     {totals.excluded:>16,}")
    if totals.excluded_default:
        lines.append(
            f"  {totals.excluded_default:,} snapshot folders were left out"
            " (--no-default-excludes walks them)"
        )
    if totals.vanished:
        lines.append(f"  vanished     {totals.vanished:>16,} (changed during the walk)")
    lines += _sending_lines(status)
    lines.append(
        f"  errors       {totals.errors:>16,}"
        + _classes(dict(sorted(totals.error_classes.items())))
    )
    lines += [
        f"    {show_path(problem.path)}: {_why(problem)} ({problem.kind})"
        for problem in status.errors[:10]
    ]
    if totals.errors > len(status.errors[:10]) > 0:
        lines.append(f"    and {totals.errors - len(status.errors[:10]):,} more")
    for item in status.quarantined:
        path = show_path(_path_of(status, item.item.root, item.item.path))
        lines.append(f"  NOT WALKED: {path}: {item.reason}")
    lines.append(f"  {timedelta(seconds=round(seconds, 1))!s:.9} at {rate:,.0f} entries a second")
    return "\n".join(lines)


def _why(problem: Problem) -> str:
    return show_text(problem.reason) if problem.reason else os.strerror(problem.errno)


def _sending_lines(status: RunStatus) -> list[str]:
    """What was sent, and what was not."""
    told = sending.as_json(status.options, status.counters).get("sending")
    if told is None:
        return []
    lines = [f"  to           {show_text(told['to'])}"]
    shown = ("planned",) if told["dry_run"] else ("sent",)
    for kind in (*shown, "unchanged", "refused", "unsent", "gone"):
        count = told[kind]
        if not count["files"] and kind not in shown:
            continue
        line = f"  {kind:<12} {count['files']:>16,} files"
        if "bytes" in count:
            line += f", {count['bytes']:,} bytes ({human(count['bytes'])})"
        lines.append(line)
    left = told["not_sent"]
    if left["symlinks"] or left["other"]:
        lines.append(
            f"  not sent     {left['symlinks']:,} symbolic links, {left['other']:,} others"
            " (devices, sockets, pipes): only regular files are"
        )
    return lines


def _classes(classes: dict[str, int]) -> str:
    if not classes:
        return ""
    return " (" + ", ".join(f"{name} {count:,}" for name, count in classes.items()) + ")"


def show_path(path: bytes) -> str:
    """A path for a person: what is not printable is escaped."""
    text = os.fsdecode(path)
    if text.isprintable():
        return text
    return text.encode("unicode_escape", "surrogateescape").decode("ascii", "replace")


def show_text(text: str) -> str:
    """A name that a peer gave, for a person: what is not printable is escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def human(size: float) -> str:
    """Bytes in the largest unit that leaves at least one."""
    for unit in UNITS:
        if size < 1024 or unit == UNITS[-1]:  # noqa: PLR2004 -- binary units
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return ""
