"""``zfs-walk``: walks trees and says what is there."""

import os
from typing import Any

import click
from click.core import ParameterSource

from zfs_walk.cli.command import (
    SECONDS,
    BrokerPlace,
    insecure_option,
    run_command,
    set_up_logging,
    shared,
)
from zfs_walk.cli.sending import TRANSFERS, SinkOptions
from zfs_walk.errors import WrongUseError

NOBODY_PATIENCE = 30.0
"""Seconds that a run on a bus may wait for a first agent (``--timeout``)."""

OF_THE_RUN = frozenset(
    {
        *("paths", "roots_from", "null", "names_only", "one_file_system", "max_depth", "exclude"),
        *("include", "no_default_excludes", "output", "part_limit", "min_agents", "detach"),
        *("to", "to_options", "transfers", "dry_run"),
    }
)
"""What belongs to a run from its beginning, and can't be changed when it goes on."""


@click.command(
    epilog="""Examples:

\b
  zfs-walk /data
  zfs-walk /data /home --exclude '*.tmp' --one-file-system
  zfs-walk /data -o /data-catalog && zfs-catalog info /data-catalog
  zfs-walk /data --broker tcp://127.0.0.1:5570 --detach
  zfs-walk /data --to s3://bucket/prefix --dry-run

Ctrl-C pauses the run and says how to go on; a second Ctrl-C ends at once.

Exit codes: 0 all well, 1 done, but some items could not be read or sent (they are listed), 2 wrong
use, 4 no broker, 5 another protocol version, 6 state folder in use or unusable, 7 the journal can't
be written, 8 the run can't go on, 9 the catalog can't be used, 10 an extra is missing, 11 paused,
12 aborted, 13 a process died, 14 no usable key."""
)
@click.argument("paths", nargs=-1, metavar="PATH...", type=click.Path())
@click.option("--roots-from", type=click.File("rb"), help="File with one path a line; - is stdin.")
@click.option("-0", "null", is_flag=True, help="Paths of --roots-from end with NUL.")
@click.option(
    "--broker",
    metavar="ENDPOINT[,...]|FILE",
    type=BrokerPlace(),
    help="Walk on this bus instead of privately; an endpoint, several that are tried in turn, or a"
    " connection file.",
)
@insecure_option
@click.option("--workers", type=click.IntRange(1, 1024), default=os.cpu_count() or 1,
              help="Worker processes of a private run; default: one per core.")  # fmt: skip
@click.option("--names-only", is_flag=True, help="Count names and types; no sizes, no stat.")
@click.option("--one-file-system", "-x", is_flag=True, help="Do not enter other file systems.")
@click.option("--max-depth", type=click.IntRange(0), help="As find -maxdepth.")
@click.option("--exclude", multiple=True, metavar="GLOB",
              help="Leave out what matches and all below; with a / inside: the path below the root;"
              " with a / at the end: directories only.")  # fmt: skip
@click.option("--include", multiple=True, metavar="GLOB", help="Exceptions to the excludes.")
@click.option("--no-default-excludes", is_flag=True,
              help="Walk snapshot folders (.snapshot, .zfs/snapshot) too.")  # fmt: skip
@click.option("-o", "--output", metavar="DIR", type=click.Path(),
              help="Store a row per entry there (a catalog).")  # fmt: skip
@click.option("--to", metavar="URL",
              help="Send every regular file there: s3://BUCKET/PREFIX, sftp://USER@HOST/PATH,"
              " file:///PATH (docs/sinks.md). Nothing is ever deleted there.")  # fmt: skip
@click.option("--to-options", metavar="MAP", type=SinkOptions(), default="{}",
              help="The sink's options, as a map in YAML or JSON.")  # fmt: skip
@click.option("--transfers", type=click.IntRange(1, 256), default=TRANSFERS, show_default=True,
              help="With --to: files, or packs of small ones, that a worker sends at once."
              )  # fmt: skip
@click.option("--dry-run", is_flag=True,
              help="With --to: print what would be sent, and send nothing.")  # fmt: skip
@click.option("--json", is_flag=True, help="Print the result as JSON (docs/json.md).")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@click.option("--resume", type=int, metavar="RUN", help="Go on with a paused run.")
@click.option("--attach", type=int, metavar="RUN", help="Follow a run of a bus.")
@click.option("--detach", is_flag=True, help="Submit to a bus and print the run's number.")
@click.option("--min-agents", type=click.IntRange(1), default=1, help="Wait for so many agents.")
@click.option("--part-limit", type=click.IntRange(1), default=50_000, show_default=True,
              help="Names in a directory above which it is walked in parts.")  # fmt: skip
@click.option("--dir-timeout", type=SECONDS, default=300.0, show_default=True,
              help="Seconds that one directory may take.")  # fmt: skip
@click.option("--timeout", type=SECONDS, default=NOBODY_PATIENCE, show_default=True,
              help="Seconds to wait for a broker, and for a first agent.")  # fmt: skip
@click.option("--state", metavar="DIR", type=click.Path(),
              help="Folder for the run's journal, on a local disk.")  # fmt: skip
@click.option("--host", metavar="NAME", help="This host's name, if not the system's.")
@shared
def main(verbose: int, **given: Any) -> int:
    """Walk directory trees in parallel and print what is there, exactly."""
    # Whoever asks for --help does not wait for ZeroMQ and SQLite.
    from zfs_walk.cli.arguments import WalkArguments  # noqa: PLC0415

    set_up_logging(verbose)
    arguments = WalkArguments(**given)
    _check_use(arguments.resume, arguments.attach)
    if arguments.dry_run and not arguments.to:
        raise WrongUseError(reason="--dry-run prints what --to URL would send: give both")
    # What would be sent is the same from wherever it is looked at, and it is printed here.
    if arguments.broker and not arguments.dry_run:
        from zfs_walk.cli.walk_on_bus import walk_on_bus  # noqa: PLC0415

        return walk_on_bus(arguments.broker, arguments)
    if arguments.detach or arguments.attach is not None or arguments.min_agents != 1:
        raise WrongUseError(
            reason="--detach, --attach and --min-agents need a bus: name it with --broker"
        )
    from zfs_walk.cli.walk_privately import walk_privately  # noqa: PLC0415

    return walk_privately(arguments)


def _check_use(resume: int | None, attach: int | None) -> None:
    """Refuse options that would be ignored."""
    if resume is not None and attach is not None:
        raise WrongUseError(reason="give either --resume RUN or --attach RUN")
    if resume is None and attach is None:
        return
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in OF_THE_RUN and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            what = parameter.opts[0] if isinstance(parameter, click.Option) else "PATH"
            raise WrongUseError(
                reason=f"{what} can't be given with --resume or --attach: the run keeps what it"
                " began with"
            )


def run() -> None:
    """Console entry point."""
    run_command(main, "zfs-walk")


if __name__ == "__main__":
    run()
