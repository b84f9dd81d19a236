"""``zfs-agent --role scout``."""

import os
from collections.abc import Sequence
from itertools import combinations

from zfs_walk.agents.scout.loop import ScoutLoop
from zfs_walk.cli.agent_arguments import AgentArguments
from zfs_walk.cli.serve_agent import AgentProcess
from zfs_walk.errors import WrongUseError
from zfs_walk.watch.folder import Folder, look_at_folder
from zfs_walk.watch.watch import WatchOptions


def serve_scout(arguments: AgentArguments) -> None:
    """Watch folders for a bus until SIGTERM.

    Raises:
        FolderError: a folder can't be watched.
        ZfsWalkError: whatever else keeps it from that.
    """
    folders = _look_at_folders(arguments)
    process = AgentProcess(arguments)
    with process.opened(0) as opened:
        loop = ScoutLoop(
            folders, _options(arguments), opened.bus, opened.endpoints, opened.identity,
            arguments.patience, opened.handler,
        )  # fmt: skip
        process.run(loop)


def _look_at_folders(arguments: AgentArguments) -> list[Folder]:
    if not arguments.watch:
        raise WrongUseError(reason="a scout needs a folder: --watch DIR (or MONITOR_DIR)")
    allowed = arguments.allowed()
    folders = []
    for given in arguments.watch:
        folder = look_at_folder(given)
        if allowed and not any(_is_below(folder.path, above) for above in allowed):
            names = ", ".join(arguments.allow)
            raise WrongUseError(reason=f"--watch {given}: only {names} may be watched (--allow)")
        folders.append(folder)
    _refuse_overlaps(folders)
    return folders


def _is_below(path: bytes, above: bytes) -> bool:
    return path == above or path.startswith(above + b"/")


def _refuse_overlaps(folders: Sequence[Folder]) -> None:
    """A file in two lists of one scout would be two files."""
    for one, other in combinations(folders, 2):
        places = {one.place, other.place}
        if len(places) == 1 or places & {*one.ancestors, *other.ancestors}:
            names = " and ".join(os.fsdecode(folder.path) for folder in (one, other))
            raise WrongUseError(reason=f"--watch: {names} overlap; watch the upper one only")


def _options(arguments: AgentArguments) -> WatchOptions:
    options = WatchOptions(
        recursive=not arguments.no_recursive,
        hidden=arguments.hidden,
        includes=arguments.include,
        excludes=arguments.exclude,
        poll=arguments.poll,
        settle=arguments.settle / 1000,
        monitor=arguments.monitor,
    )
    try:
        options.rules()
    except ValueError as error:
        raise WrongUseError(reason=str(error)) from error
    return options
