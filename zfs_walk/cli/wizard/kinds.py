"""Which kinds of other sides there are."""

from typing import Final

from zfs_walk.cli.wizard.kind import Kind, Options
from zfs_walk.cli.wizard.kind_local import local
from zfs_walk.cli.wizard.kind_s3 import s3
from zfs_walk.cli.wizard.kind_sftp import sftp

SCHEMES: Final = {"s3": "s3", "sftp": "sftp", "local": "file"}
"""Of the kinds, by their names."""


def kind_of(name: str, options: Options, user: str) -> Kind:
    """The kind with a name of `SCHEMES`.

    Args:
        name: of it.
        options: of its sink, which check its answers.
        user: who asks.
    """
    if name == "sftp":
        return sftp(options, user)
    return s3(options) if name == "s3" else local(options)
