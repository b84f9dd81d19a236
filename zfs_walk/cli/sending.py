"""``zfs-walk --to``: what is checked before a run, taken away after it, and said about it."""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from zfs_walk.cli.state import SENDING
from zfs_walk.config.values import Described
from zfs_walk.errors import WrongUseError
from zfs_walk.protocol.records import RootRecord, WalkOptions

TRANSFERS: Final = 4
"""Packs of files that a worker sends at once, as many as a mapping of an uploader does."""

_SECRET: Final = re.compile(r"://[^/@]*:[^/@]*@")


class SinkOptions(Described):
    """The type of ``--to-options``: a map; in a file as YAML has it, elsewhere as YAML or JSON."""

    name = "options"
    wanted = "a map of the sink's options, such as {endpoint_url: 'http://host:9000'}"

    def is_typed(self, value: Any) -> bool:
        """Take a map, too."""
        return isinstance(value, dict) or super().is_typed(value)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The map as JSON."""
        try:
            found = _loaded(value) if isinstance(value, str) else value
            return json.dumps(dict(found), sort_keys=True)
        except (TypeError, ValueError):
            # Not the text: a secret may be in it, in the wrong place.
            self.fail(f"wanted: {self.wanted}", param, ctx)


def _loaded(text: str) -> Any:
    try:
        # Most of it is YAML, too, but the default is not to load what reads that.
        return json.loads(text)
    except ValueError:
        pass
    import yaml  # noqa: PLC0415 -- few walks have this option

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError from error


def check_sending(roots: Sequence[RootRecord], options: WalkOptions) -> None:
    """See that what a run is to send can go where it is to be sent.

    Raises:
        WrongUseError: it can't.
        MissingExtraError: the sink's library is not installed.
    """
    if not options.to:
        return
    from zfs_walk.agents.sending.target import read_options  # noqa: PLC0415 -- few walks send
    from zfs_walk.mirror.mapping import Mapping  # noqa: PLC0415
    from zfs_walk.mirror.terms import keep_sides_apart  # noqa: PLC0415
    from zfs_walk.sinks.choose import open_sink  # noqa: PLC0415

    if _SECRET.search(options.to):
        reason = "--to: a URL has no password: it would be in logs and lists (docs/uploader.md)"
        raise WrongUseError(reason=reason)
    try:
        open_sink(options.to, read_options(options.to_options)).close()
    except WrongUseError as error:
        raise WrongUseError(reason=f"--to: {error.fields['reason']}") from error
    if len(roots) != 1:
        reason = "--to sends one PATH: the names of several would be mixed there; walk one by one"
        raise WrongUseError(reason=reason)
    path = roots[0].path
    if os.path.islink(path) or not os.path.isdir(path):  # noqa: PTH112, PTH114 -- bytes
        reason = f"--to: {os.fsdecode(path)} is no directory; name the one that it is in, with"
        raise WrongUseError(reason=f"{reason} --include and --exclude")
    keep_sides_apart(Mapping("--to", path, options.to), os.path.realpath(path))


def sweep_after(base: Path, options: WalkOptions) -> None:
    """Take away what workers of this host that were killed have left at the sink of a run.

    What can't be now is by the next command that sends there.
    """
    if not options.to or options.dry_run:
        return
    import contextlib  # noqa: PLC0415

    from zfs_walk.agents.sending.target import folder_of, open_own_sink, sweep  # noqa: PLC0415
    from zfs_walk.sinks.errors import SinkError  # noqa: PLC0415

    folder = base / SENDING
    with contextlib.suppress(SinkError, OSError):
        sink = open_own_sink(options.to, options.to_options, folder)
        with contextlib.closing(sink):
            sweep(folder_of(folder, options.to, options.to_options), sink)


KINDS: Final = ("sent", "unchanged", "planned", "refused", "unsent", "gone")
"""As `zfs_walk.agents.sending.pieces.Fate`, which a walk that sends nothing does not load."""

WITH_BYTES: Final = frozenset({"sent", "unchanged", "planned"})


def as_json(options: WalkOptions, counters: dict[str, int]) -> dict[str, Any]:
    """What a run has sent, as the documented JSON object; empty: it sends nothing."""
    if not options.to:
        return {}
    told: dict[str, Any] = {"to": options.to, "dry_run": options.dry_run}
    for kind in KINDS:
        told[kind] = {"files": counters.get(f"{kind}.files", 0)}
        if kind in WITH_BYTES:
            told[kind]["bytes"] = counters.get(f"{kind}.bytes", 0)
    told["there"] = {
        unit: told["sent"][unit] + told["unchanged"][unit] for unit in ("files", "bytes")
    }
    told["not_sent"] = {
        "symlinks": counters.get("symlinks", 0), "other": counters.get("other", 0),
    }  # fmt: skip
    return {"sending": told}
