"""``zfs-ctl load``: load tests."""

import click

from zfs_walk.cli.ctl_witness import witness


@click.group("load")
def load_group() -> None:
    """Judge scouts and uploaders by load tests."""


load_group.add_command(witness)
