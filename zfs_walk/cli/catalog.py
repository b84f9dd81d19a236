"""``zfs-catalog``: read what walks stored."""

import json
import sys
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

import click

from zfs_walk.catalog import manifest as manifests
from zfs_walk.catalog.manifest import Manifest
from zfs_walk.catalog.query import damaged
from zfs_walk.catalog.query import query as run_query
from zfs_walk.cli.command import version_option
from zfs_walk.errors import CatalogError, ZfsWalkError

_WIDTH_ROWS: Final = 1000
"""The first so many rows decide how wide a table's columns are; the rest is not waited for."""

_EXIT_CODES: Final = """\b
Exit codes:
  0   all well
  2   wrong use: an unknown option, an SQL error
  9   the folder is no catalog, or it is damaged
  10  a package is missing: pip install 'zfs_walk[catalog]'
"""

_CATALOG: Final = click.argument("catalog", type=click.Path(path_type=Path))
_JSON: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(
    help="""Read what walks stored.

    \b
    Examples:
      zfs-catalog info /srv/catalogs/monday
      zfs-catalog query /srv/catalogs/monday \\
          'select uid, sum(size) from files group by uid order by 2 desc'
    """,
    epilog=_EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@version_option
def main() -> None:
    """Hold the commands."""


@main.command(
    help="""Show the run, the totals and the errors of CATALOG.

    \b
    Example:
      zfs-catalog info /srv/catalogs/monday --verify
    """,
    epilog=_EXIT_CODES,
)
@_CATALOG
@click.option("--verify", is_flag=True, help="Read every segment and compare its checksum.")
@_JSON
def info(*, catalog: Path, verify: bool, as_json: bool) -> None:
    """Print the manifest, as text or as it is."""
    manifest = manifests.load(catalog)
    if as_json:
        click.echo(json.dumps(manifest.to_json(), indent=1))
    else:
        for label, value in _described(manifest):
            click.echo(f"{label:<12} {value}")
    if not verify:
        return
    found = list(damaged(catalog, manifest))
    if found:
        segments = len(manifest.segments)
        reason = f"{len(found)} of {segments} segments are damaged: {'; '.join(found)}"
        raise CatalogError(path=catalog, reason=reason)
    click.echo(f"verified {len(manifest.segments)} segments", err=True)


@main.command(
    help="""Run one SQL statement that reads on CATALOG.

    The views are files (one row an entry) and errors (one row an entry that could not be read).
    With --json each row is one line, an object; bytes are base64.

    \b
    Examples:
      zfs-catalog query /srv/catalogs/monday 'describe files'
      zfs-catalog query /srv/catalogs/monday --limit 20 \\
          'select path, size from files order by size desc'
      zfs-catalog query /srv/catalogs/monday --json 'from errors' | jq -r .path
    """,
    epilog=_EXIT_CODES,
)
@_CATALOG
@click.argument("sql")
@_JSON
@click.option("--limit", type=click.IntRange(min=0), help="Print at most so many rows.")
def query(*, catalog: Path, sql: str, as_json: bool, limit: int | None) -> None:
    """Print the rows of a statement."""
    columns, rows = run_query(catalog, sql)
    for line in (_json_lines if as_json else _table_lines)(columns, islice(rows, limit)):
        click.echo(line)


def run() -> None:
    """Run the command line: the console entry point. Errors end it with their message and code."""
    try:
        main(prog_name="zfs-catalog")
    except ZfsWalkError as error:
        click.echo(f"zfs-catalog: {error}", err=True)
        sys.exit(error.exit_code)


def _described(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Yield what `info` tells, label by label."""
    run, totals = manifest.run, manifest.totals.as_dict()
    yield "run", f"{run.number} ({run.state})"
    for root in run.to_json()["roots"]:
        yield "root", _shown(root["path"])
    yield "submitted", run.submitted
    yield "finished", run.finished or "not"
    for name, count in totals.items():
        yield name, f"{count:,}" + (" bytes" if name in {"size", "allocated"} else "")
    for name, count in sorted(manifest.totals.error_classes.items()):
        yield f"  {name}", f"{count:,}"
    for example in manifest.to_json()["errors"]["examples"]:
        yield "  e.g.", f"{_shown(example['path'])}: {example['message']}"
    stored = sum(segment.bytes for segment in manifest.segments)
    rows = sum(segment.rows for segment in manifest.segments)
    yield "segments", f"{len(manifest.segments):,} with {rows:,} rows, {stored:,} bytes"


def _json_lines(columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> Iterator[str]:
    keys = _distinct(columns)
    for row in rows:
        yield json.dumps(dict(zip(keys, map(_plain, row), strict=True)), ensure_ascii=False)


def _distinct(columns: Sequence[str]) -> list[str]:
    """Return the columns as keys of an object: a name that was there gets ``_1``, ``_2`` ..."""
    keys: list[str] = []
    for column in columns:
        key, number = column, 0
        while key in keys:
            number += 1
            key = f"{column}_{number}"
        keys.append(key)
    return keys


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: bytes as base64, what JSON has no form for as text."""
    match value:
        case bytes():
            return b64encode(value).decode()
        case None | bool() | int() | str():
            return value
        case float():
            return value if value - value == 0 else str(value)
        case list() | tuple():
            return [_plain(item) for item in value]
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case _:
            return str(value)


def _table_lines(columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> Iterator[str]:
    """Yield an aligned table; numbers stand at the right."""
    rows = iter(rows)
    first = list(islice(rows, _WIDTH_ROWS))
    cells = [[_cell(value) for value in row] for row in first]
    heads = [_shown(column) for column in columns]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    numeric = [
        any(isinstance(value, int | float) for value in column)
        for column in zip(*first, strict=True)
    ] or [False] * len(columns)

    def line(row: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        return "  ".join(padded).rstrip()

    yield line(heads)
    yield line(["-" * width for width in widths])
    for row in chain(cells, ([_cell(value) for value in row] for row in rows)):
        yield line(row)


def _cell(value: Any) -> str:
    plain = _plain(value)
    if plain is None:
        return "NULL"
    if isinstance(plain, list | dict):
        return _shown(json.dumps(plain, ensure_ascii=False))
    return _shown(str(plain))


def _shown(text: str) -> str:
    """Return ``text`` for a terminal: a name may hold newlines and escape sequences."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


if __name__ == "__main__":
    run()
