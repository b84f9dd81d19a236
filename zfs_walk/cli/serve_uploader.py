"""The process of an uploader: its mirrors, who hears of them, and what may change meanwhile."""

import logging
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Final

import click
from click.core import ParameterSource

from zfs_walk.agents.uploader.loop import Broker, Surroundings, UploaderLoop
from zfs_walk.agents.uploader.narrator import Narrator
from zfs_walk.agents.uploader.once import Once
from zfs_walk.cli.agent_arguments import AgentArguments
from zfs_walk.cli.command import CONFIG, read_settings
from zfs_walk.cli.connection import find_target
from zfs_walk.cli.serve_agent import AgentProcess
from zfs_walk.cli.state import private_folder
from zfs_walk.config.mappings import Placed, read_mappings
from zfs_walk.config.rates import parse_rate
from zfs_walk.errors import KeyFileError, NoKeyError, WrongUseError, ZfsWalkError
from zfs_walk.mirror.handling import Happening
from zfs_walk.mirror.mapping import Mapping
from zfs_walk.mirror.mirror import Mirror
from zfs_walk.mirror.pace import Limit
from zfs_walk.notify.database import has_password
from zfs_walk.notify.notifier import Notifier
from zfs_walk.sinks.interface import Sink

LOG: Final = logging.getLogger("zfs_walk.uploader")

FOLDER: Final = "mirrors"
"""The folder of the mappings' states below the state folder."""

Chosen = tuple[Placed, Sink]
"""What is mirrored, and where to."""


def serve(arguments: AgentArguments, chosen: Sequence[Chosen]) -> None:
    """Mirror folders until SIGTERM, or once, with a broker or without one.

    Args:
        arguments: the options.
        chosen: what is mirrored, and the sink of each.

    Raises:
        ZfsWalkError: what keeps it from that.
    """
    finder = _Finder(arguments.broker)
    process = AgentProcess(arguments, needs_broker=False)
    limit = Limit(arguments.bwlimit or None)
    notifier = _notifier(arguments.notify, process.state)
    with process.opened(0) as opened, _mirrors(chosen, process.state, limit, notifier) as mirrors:
        _take_up(arguments, mirrors)
        rereader = _Rereader(arguments, mirrors, limit)
        once = Once(tuple(mirrors.values()), arguments.timeout) if arguments.once else None
        loop = UploaderLoop(
            tuple(mirrors.values()), limit, Surroundings(finder.find, rereader.reread),
            process.state, opened.bus, opened.identity, opened.handler, once,
            notifier.writer() if notifier else None,
        )  # fmt: skip

        def reread(_number: int, _frame: FrameType | None) -> None:
            loop.reread()

        signal.signal(signal.SIGUSR1, reread)
        process.run(loop)
    if once is not None and once.failure is not None:
        raise once.failure


def _notifier(given: str, state: Path) -> Notifier | None:
    """Who tells a database; None: nobody does."""
    if given and has_password(given):
        raise WrongUseError(
            reason="--notify: a password belongs into the environment variable DATABASE_URL, or"
            " into PGPASSFILE, where --show-config and the process list do not show it"
        )
    # It may have a password, so it is no option's.
    database = given or os.environ.get("DATABASE_URL", "")
    return Notifier(database, state) if database else None


@contextmanager
def _mirrors(
    chosen: Sequence[Chosen], state: Path, limit: Limit, notifier: Notifier | None
) -> Iterator[dict[str, Mirror]]:
    """A mirror of each mapping, by name; all are closed at the end, also if one can't be made."""
    mirrors: dict[str, Mirror] = {}
    narrator = Narrator()
    above = private_folder(state / FOLDER)
    try:
        for placed, sink in chosen:
            name = placed.mapping.name
            notify = partial(narrator.happened, name)
            mirror = mirrors[name] = _mirror(placed, sink, above / name, limit, notify)
            if notifier is not None:
                mirror.tell(notifier.outbox(mirror.id, above / name).put)
        yield mirrors
    finally:
        for mirror in mirrors.values():
            mirror.close()


def _mirror(
    placed: Placed, sink: Sink, state: Path, limit: Limit, notify: Callable[[Happening], None]
) -> Mirror:
    try:
        return Mirror(placed.mapping, private_folder(state), (limit,), notify, sink)
    except WrongUseError as error:
        raise placed.wrong(error) from error


def _take_up(arguments: AgentArguments, mirrors: dict[str, Mirror]) -> None:
    """Go on with what waited for somebody."""
    for name in mirrors.keys() & set(arguments.confirm):
        LOG.warning("%s: %d deletions are confirmed", name, mirrors[name].wishes.confirm())
    for name in mirrors.keys() & set(arguments.retry):
        LOG.warning("%s: %d actions are tried again", name, mirrors[name].wishes.retry())
    for name, queue in arguments.take_over:
        if name in mirrors:
            text = "%s: %s is taken over: %d items, %d names are queued, %d items name none of them"
            LOG.warning(text, name, queue, *mirrors[name].wishes.take_over(Path(queue)))


# ---------------------------------------------------------------------- what may change


class _Finder:
    """Looks which broker there is; a mirror waits for none.

    Raises:
        WrongUseError: what ``--broker`` names is nothing of the kind.
        KeyFileError: its connection file is no good, or not safe.
    """

    def __init__(self, broker: str) -> None:
        self._broker = broker
        self._said = ""
        try:
            find_target(broker)
        except NoKeyError:
            # Whoever starts a broker on this host is given a key: it may come.
            LOG.info("no broker is known yet: mirroring without one")

    def find(self) -> Broker | None:
        """The broker as it is known now; None: none is."""
        try:
            target = find_target(self._broker)
        except NoKeyError:
            return None
        except (KeyFileError, WrongUseError) as error:
            if str(error) != self._said:
                self._said = str(error)
                LOG.warning("mirroring without a broker: %s", error)
            return None
        return Broker(target.endpoints, target.curve)


class _Rereader:
    """Takes the limits of bytes a second from the file of --config once more."""

    def __init__(self, arguments: AgentArguments, mirrors: dict[str, Mirror], limit: Limit) -> None:
        self._bwlimit = arguments.bwlimit
        self._mirrors = mirrors
        self._limit = limit
        self._context = click.get_current_context()

    def reread(self) -> None:
        """Change the limits; what is wrong is logged, and then all stay as they are."""
        file = self._context.meta.get(CONFIG)
        if file is None:
            LOG.warning("SIGUSR1: there is no file (--config) to read limits from")
            return
        try:
            settings = read_settings(self._context, file)
            node = settings["mappings"].node if "mappings" in settings else None
            mappings = read_mappings(node, file) if node else []
        except ZfsWalkError as error:
            text = "SIGUSR1: the limits stay as they are: %s"
            LOG.error(text, error)  # noqa: TRY400 -- the user's, not ours
            return
        given = settings["bwlimit"].value if "bwlimit" in settings else 0
        self._change(parse_rate(str(given)), [placed.mapping for placed in mappings])

    def _change(self, bwlimit: int, mappings: Iterable[Mapping]) -> None:
        above = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
        if self._context.get_parameter_source("bwlimit") in above:
            bwlimit = self._bwlimit
        self._limit.change(bwlimit or None)
        words = [f"all together {bwlimit}"]
        for mapping in mappings:
            if mapping.name in self._mirrors:
                self._mirrors[mapping.name].wishes.change_limit(mapping.bwlimit)
                words.append(f"{mapping.name} {mapping.bwlimit}")
        LOG.info("limits in bytes a second (0: none): %s", ", ".join(words))
