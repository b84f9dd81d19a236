"""What is asked about a folder of this host.

A core, as `zfs_walk.cli.wizard.questions`.
"""

import os
from collections.abc import Collection
from urllib.parse import quote

from zfs_walk.cli.wizard.kind import Kind, Options, option
from zfs_walk.cli.wizard.questions import OPTION, Answers, Question, Thing


def _nothing_borrowed(_answers: Answers, _there: Collection[str]) -> tuple[str, ...]:
    return ()


def local(options: Options) -> Kind:
    """The kind whose answers the options check."""
    questions = (
        Question(
            "folder", "Folder that the files go to",
            "A folder of this host, or of a disk that is mounted here; it must be there, outside of"
            " the mirrored one.",
            str, thing=Thing.FOLDER,
        ),
        Question(
            OPTION + "mount", "Mount point",
            "If that folder is on a disk that may be missing: where the disk is mounted. Nothing is"
            " sent while it is not. Empty: it is always there.",
            option(options, "mount"), thing=Thing.FOLDER,
        ),
    )  # fmt: skip
    return Kind(
        "another folder of this host", questions, _local_url,
        "It needs no secrets.", _nothing_borrowed,
    )  # fmt: skip


def _local_url(answers: Answers) -> str | None:
    if "folder" not in answers:
        return None
    return f"file://{quote(os.fsencode(answers['folder']))}"
