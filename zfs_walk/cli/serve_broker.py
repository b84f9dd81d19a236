"""Puts a broker together: keys, sockets, relay, log, gateway and loop."""

import logging
import os
import resource
import secrets
import signal
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

import click

from zfs_walk import __version__
from zfs_walk.broker.history import History
from zfs_walk.broker.loop import BrokerLoop
from zfs_walk.broker.relay import INSIDE, Relay
from zfs_walk.broker.settings import Settings
from zfs_walk.broker.sqlite import SqliteJournal
from zfs_walk.bus.endpoints import beside
from zfs_walk.bus.sockets import Bus
from zfs_walk.cli.command import refuse_root
from zfs_walk.cli.first_keys import give_operator, lend_to_gateway, open_keyring, reachable_at
from zfs_walk.cli.http import GatewayPlan, kept_gateway
from zfs_walk.cli.logs import close_log, open_log
from zfs_walk.cli.notify import ServiceManager
from zfs_walk.errors import WrongUseError
from zfs_walk.gateway.brief import Brief
from zfs_walk.protocol.records import Endpoints
from zfs_walk.protocol.statistics import Origin

LOG = logging.getLogger("zfs_walk.broker")

IPC = "ipc://"

BROKER = "broker"
"""Its role, and its name: a host has one."""


@dataclass(frozen=True, slots=True)
class Sockets:
    """Where the broker listens.

    Attributes:
        bind: for agents and commands.
        publish: for what is published, ``subscribe`` for who wants it; None: beside ``bind``.
        insecure: no keys are demanded.
    """

    bind: str
    publish: str | None
    subscribe: str | None
    insecure: bool


def check_exposure(sockets: Sockets) -> None:
    """Refuse what would let others in without a key.

    Raises:
        WrongUseError: root without keys, or a socket file where others can reach it.
    """
    for endpoint in filter(None, (sockets.bind, sockets.publish, sockets.subscribe)):
        if endpoint.startswith(IPC):
            _check_folder(Path(endpoint.removeprefix(IPC)).absolute().parent)
        elif sockets.bind.startswith(IPC) and not sockets.insecure:
            raise WrongUseError(
                reason=f"{endpoint} takes keys, which a broker on ipc does not have; take ipc://"
                " for it as well, or tcp:// for --bind"
            )
    if sockets.insecure:
        refuse_root()


def _check_folder(folder: Path) -> None:
    """A socket file is as private as its folder."""
    try:
        found = folder.stat()
    except OSError as error:
        raise WrongUseError(reason=f"{folder}: {error.strerror}") from error
    if found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise WrongUseError(
            reason=f"{folder} is open to other users; bind a socket in a folder of your own with"
            " mode 0700"
        )


def serve(  # noqa: PLR0913, PLR0917 -- what a broker is made of
    folder: Path,
    sockets: Sockets,
    settings: Settings,
    gateway: GatewayPlan | None,
    log_bounds: tuple[int, int],
    verbose: int,
) -> None:
    """Serve until a signal.

    Args:
        folder: of the state, locked by this process.
        sockets: where to listen.
        settings: for the core.
        gateway: what is served by HTTP, if anything is.
        log_bounds: MiB of a log file, and how many of them are kept.
        verbose: of the log on stderr.

    Raises:
        ZfsWalkError: what is in the way, or what ended the loop.
    """
    raise_descriptor_limit()
    manager = ServiceManager.of_this_process()
    secure = not sockets.insecure and not sockets.bind.startswith(IPC)
    curve, keys = open_keyring(folder) if secure else (None, None)
    with ExitStack() as stack:
        stack.callback(manager.close)
        journal = SqliteJournal(folder / "journal.db")
        stack.callback(journal.close)
        bus = Bus(curve)
        stack.callback(bus.close)
        if keys is not None:
            bus.guard(keys)
        router = bus.router(sockets.bind)
        history = History()
        relay = _start_relay(bus, sockets, history)
        stack.callback(relay.stop)
        origin = Origin(
            secrets.token_hex(8), BROKER, settings.host, BROKER, os.getpid(), 0, __version__
        )
        log = open_log(bus, INSIDE, origin, folder, *log_bounds)
        stack.callback(close_log, log)
        lent = None
        if curve is not None and keys is not None:
            keys.after_revocation(relay.rebind)
            connection = give_operator(keys, curve.public, router.endpoint, folder)
            LOG.info("connection file of this user: %s", connection)
            lent = lend_to_gateway(keys, curve.public)

        def brief(listener: int, token: str) -> Brief:
            return Brief(
                os.getpid(), reachable_at(router.endpoint), reachable_at(relay.publish),
                settings.host, __version__, listener, token, verbose, str(folder), *log_bounds,
                lent,
            )  # fmt: skip

        url = stack.enter_context(kept_gateway(gateway, brief))
        endpoints = Endpoints(relay.publish, relay.subscribe, url)
        settings = replace(settings, endpoints=endpoints, insecure=sockets.insecure)
        loop = BrokerLoop(
            router, journal, settings, keys=keys, history=history, publisher=log.publisher
        )
        _handle_signals(loop)
        served = f"HTTP at {url}, " if url else ""
        click.echo(f"zfs-broker: ready at {router.endpoint}, {served}state in {folder}")
        sys.stdout.flush()
        LOG.info("ready at %s, state in %s", router.endpoint, folder)
        manager.ready(f"serving at {router.endpoint}")
        stack.callback(manager.stopping)
        loop.run(manager.pulse)


def _handle_signals(loop: BrokerLoop) -> None:
    """First: end in order. Second: end at once; the journal has all that was answered."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def first(_number: int, _frame: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, second)
        loop.stop()

    def second(number: int, _frame: FrameType | None) -> None:
        sys.stderr.flush()
        os._exit(128 + number)

    for number in signals:
        signal.signal(number, first)


def _start_relay(bus: Bus, sockets: Sockets, history: History) -> Relay:
    """Fan out what is published, at endpoints beside that of ``bind`` if none are named."""
    relay = Relay(
        bus,
        sockets.publish or beside(sockets.bind, 1, "publish"),
        sockets.subscribe or beside(sockets.bind, 2, "subscribe"),
        history,
    )
    relay.start()
    return relay


def raise_descriptor_limit() -> None:
    """Take as many descriptors as the system allows: each connection is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
