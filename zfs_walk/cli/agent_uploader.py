"""``zfs-agent --role uploader``: which folders are mirrored, and where to."""

import os
from collections.abc import Iterable

import click
from click.core import ParameterSource

from zfs_walk.cli.agent_arguments import AgentArguments
from zfs_walk.cli.command import CONFIG, SETTINGS
from zfs_walk.config.mappings import Placed, compose, read_mappings
from zfs_walk.config.places import uploader_files
from zfs_walk.errors import WrongUseError
from zfs_walk.sinks.choose import open_sink
from zfs_walk.sinks.interface import Dialing, Sink


def serve_uploader(arguments: AgentArguments) -> None:
    """Mirror folders until SIGTERM, or once, with a broker or without one.

    Raises:
        ZfsWalkError: what keeps it from that.
    """
    chosen = [(placed, _dialed(placed)) for placed in _chosen(arguments)]
    # The sinks connect while this is read in.
    from zfs_walk.cli.serve_uploader import serve  # noqa: PLC0415

    serve(arguments, chosen)


def _dialed(placed: Placed) -> Sink:
    """The sink of a mapping, which begins to connect."""
    try:
        sink = open_sink(placed.mapping.url, placed.mapping.options)
    except WrongUseError as error:
        raise placed.wrong(error) from error
    if isinstance(sink, Dialing):
        sink.dial()
    return sink


def _chosen(arguments: AgentArguments) -> list[Placed]:
    """The mappings that are to run."""
    mappings = _configured(arguments)
    names = [placed.mapping.name for placed in mappings]
    taken_over = (name for name, _ in arguments.take_over)
    for name in (*arguments.only, *arguments.confirm, *arguments.retry, *taken_over):
        if name not in names:
            raise WrongUseError(reason=f"there is no mapping {name}; there are {', '.join(names)}")
    chosen = [
        each for each in mappings if not arguments.only or each.mapping.name in arguments.only
    ]
    _check_allowed(arguments, chosen)
    return chosen


def _configured(arguments: AgentArguments) -> list[Placed]:
    if arguments.mappings is None:
        reason = (
            "an uploader needs `mappings:` in the file of --config, or else in"
            f" {uploader_files()[0]}, which `zfs-ctl config wizard uploader` writes"
            " (docs/uploader.md)"
        )
        raise WrongUseError(reason=reason)
    context = click.get_current_context()
    if context.get_parameter_source("mappings") is ParameterSource.DEFAULT_MAP:
        return read_mappings(context.meta[SETTINGS]["mappings"].node, context.meta[CONFIG])
    return read_mappings(compose(arguments.mappings, "--mappings"), "--mappings")


def _check_allowed(arguments: AgentArguments, mappings: Iterable[Placed]) -> None:
    allowed = arguments.allowed()
    for mapping, origin in mappings:
        real = os.path.realpath(mapping.local)
        if allowed and not any(real == each or real.startswith(each + b"/") for each in allowed):
            names = ", ".join(arguments.allow)
            reason = f"{origin}: {mapping.name}: only {names} may be mirrored (--allow)"
            raise WrongUseError(reason=reason)
