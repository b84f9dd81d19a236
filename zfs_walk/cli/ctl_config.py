"""``zfs-ctl config``: helps with files of configuration."""
# ruff: noqa: PLC0415 -- whoever asks for --help does not wait for pydantic and the sinks

import click

from zfs_walk.cli.command import ENVIRONMENT, set_up_logging, shared


@click.group("config")
def config_group() -> None:
    """Files of configuration: wizard."""


@config_group.group("wizard")
def wizard_group() -> None:
    """Write a file by answering questions: uploader."""


@wizard_group.command(
    "uploader",
    epilog="""Examples:

\b
  zfs-ctl config wizard uploader
  zfs-ctl config wizard uploader s3 --output photos.yaml

It asks what is mirrored and where to, tries the connection, shows the names that some of the files
would get, and writes the file that `zfs-agent --role uploader` reads. Every question can be left
empty. No secret is written.

Exit codes: 0 written, 2 wrong use or no terminal, 10 a package is missing, 130 given up: nothing
was written.""",
    context_settings=ENVIRONMENT,
)
@click.argument("kind", type=click.Choice(["s3", "sftp", "local"]), required=False)
@click.option(
    "-o", "--output", metavar="FILE",
    help="The file; default: ~/.config/zfs_walk/uploader.yaml, which an uploader reads by itself.",
)  # fmt: skip
@shared
def wizard_uploader(kind: str | None, output: str | None, verbose: int) -> None:
    """Set an uploader up: to S3, to SFTP, or to another folder."""
    from zfs_walk.cli.wizard.uploader import run

    set_up_logging(verbose)
    run(kind, output)
