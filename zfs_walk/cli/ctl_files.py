"""``zfs-ctl files``: what scouts see, merged and sorted; ``zfs-ctl claims``: what they watch."""
# ruff: noqa: PLC0415 -- whoever asks for --help does not wait for ZeroMQ

import heapq
import itertools
import json
import os
from typing import TYPE_CHECKING, Final

import click

from zfs_walk.cli.asking import EXIT_CODES, ask, at_a_bus, client_at
from zfs_walk.cli.command import ENVIRONMENT, set_up_logging

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zfs_walk.bus.client import Client
    from zfs_walk.lists.replica import Row
    from zfs_walk.protocol.messages import ClaimLine, ClaimList, FilePage

LEFT: Final = frozenset({"no-such-claim", "not-serving"})
"""What a broker says of a list that has just left its answers."""


@click.command(
    epilog="""Examples:

\b
  zfs-ctl files
  zfs-ctl files --prefix incoming/ --host host17 -0 | xargs -0 ls -l
  zfs-ctl files --follow --limit 0"""
    + EXIT_CODES,
    context_settings=ENVIRONMENT,
)
@click.option("--prefix", default="", metavar="NAME", help="Only names that begin with this.")
@click.option("--host", default="", help="Only files of this host.")
@click.option(
    "--limit",
    type=click.IntRange(0, 2**63 - 1),
    metavar="N",
    help="The first N files; with --follow, so many before the changes.",
)
@click.option("-0", "--null", is_flag=True, help="End each name with a zero byte, not a newline.")
@click.option(
    "-f",
    "--follow",
    is_flag=True,
    help="Then show what changes: `+` a new file, `~` a changed one, `-` one that is gone.",
)
@at_a_bus
def files(  # noqa: PLR0913, PLR0917 -- one argument an option
    prefix: str,
    host: str,
    limit: int | None,
    broker: str,
    timeout: float,
    verbose: int,
    *,
    null: bool,
    follow: bool,
    json_: bool,
) -> None:
    """List the files that scouts see, by name; names are relative to the folders they watch.

    `zfs-ctl claims` shows these folders.
    """
    from zfs_walk.cli.fileprinter import FilePrinter

    set_up_logging(verbose)
    printer = FilePrinter(null=null, json_=json_, events=follow)
    name = os.fsencode(prefix)
    if follow:
        from zfs_walk.cli.filefollow import Following

        Following(printer, name, host).run(broker, timeout, limit)
        return
    with client_at(broker, timeout) as client:
        for row in _rows(client, name, host, limit):
            printer.file(row)


@click.command(epilog="Example: zfs-ctl claims" + EXIT_CODES, context_settings=ENVIRONMENT)
@at_a_bus
def claims(broker: str, timeout: float, verbose: int, *, json_: bool) -> None:
    """Show which folders scouts watch, how, and whose files are served."""
    from zfs_walk.bus.filesjson import claim_fields
    from zfs_walk.protocol.messages import Claims

    set_up_logging(verbose)
    reply: ClaimList = ask(broker, timeout, Claims)
    if json_:
        lines = [claim_fields(line, line.files, line.since_ms / 1000) for line in reply.claims]
        click.echo(json.dumps({"schema": 1, "claims": lines}, indent=2))
        return
    from zfs_walk.cli.screen import print_out, show_claims

    print_out(show_claims(reply.claims))


def _rows(client: "Client", prefix: bytes, host: str, limit: int | None) -> "Iterator[Row]":
    """The rows of all lists that are served, merged."""
    from zfs_walk.protocol.files import MOST_ROWS
    from zfs_walk.protocol.messages import Claims

    reply: ClaimList = client.ask(Claims)
    wanted = [line for line in reply.claims if host in {"", line.host}]
    for line in wanted:
        if not line.serving:
            _say_left_out(line, line.why)
    page = MOST_ROWS if limit is None else min(MOST_ROWS, limit)
    lists = [_rows_of(client, line, prefix, page) for line in wanted if line.serving]
    return itertools.islice(heapq.merge(*lists), limit)


def _rows_of(client: "Client", line: "ClaimLine", prefix: bytes, limit: int) -> "Iterator[Row]":
    from zfs_walk.errors import RefusedError
    from zfs_walk.protocol.messages import FilesQuery

    host, path, after, more = line.host, line.path, b"", True
    while more:
        place = after
        try:
            page: FilePage = client.ask(
                lambda name, until: FilesQuery(name, until, host, path, prefix, place, limit)  # noqa: B023 -- asked now
            )
        except RefusedError as error:
            if error.fields["code"] not in LEFT:
                raise
            _say_left_out(line, str(error.fields["detail"]))
            return
        columns = page.names, page.sizes, page.mtimes, page.flags
        for name, size, mtime_ns, flags in zip(*columns, strict=True):
            yield name, host, path, size, mtime_ns, flags
        more = page.more and bool(page.names)
        after = page.names[-1] if page.names else after


def _say_left_out(line: "ClaimLine", why: str) -> None:
    from zfs_walk.cli.summary import show_path, show_text

    where = f"{show_path(line.path)} on {show_text(line.host)}"
    click.echo(f"zfs-ctl: left out: {where}: {show_text(why)}", err=True)
