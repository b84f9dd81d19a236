"""Reaching uploaders: over the broker, or at their own doors on this host."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zfs_walk import __version__
from zfs_walk.bus.client import Client
from zfs_walk.bus.doors import SUFFIX, endpoint
from zfs_walk.bus.sockets import Bus
from zfs_walk.cli.asking import client_at
from zfs_walk.cli.command import host_name
from zfs_walk.errors import NoUploaderError, WrongUseError
from zfs_walk.protocol.messages import UPLOADER, Agents, Queue, QueuePage
from zfs_walk.storage import is_locked


@dataclass(frozen=True, slots=True)
class Sought:
    """Which uploaders are meant.

    Attributes:
        broker: to be asked, as --broker has it.
        state: the state folder of those on this host; None: the broker is asked.
        agent: of this name only; empty: of any.
        host: on this host only; empty: on any.
        timeout: seconds to wait for an answer.
    """

    broker: str
    state: str | None
    agent: str
    host: str
    timeout: float


@dataclass(frozen=True, slots=True)
class Uploader:
    """One that can be asked.

    Attributes:
        client: asks it.
        host: where it runs.
        name: of the agent.
    """

    client: Client
    host: str
    name: str

    def queue(
        self, mapping: str, state: str, limit: int, past: tuple[str, bytes] = ("", b"")
    ) -> QueuePage:
        """What it has; see `Queue`."""
        page: QueuePage = self.client.ask(
            lambda name, until: Queue(
                name, until, self.host, self.name, mapping, state, *past, limit
            )
        )
        return page

    def has(self, mapping: str) -> bool:
        """Whether one of its mappings has this name."""
        return any(each.name == mapping for each in self.queue("", "", 0).mappings)


@contextmanager
def reach(sought: Sought, check: Callable[[], None] = lambda: None) -> Iterator[list[Uploader]]:
    """The uploaders that are meant; one at least.

    Args:
        sought: which.
        check: called while one is waited for; raises to give up.

    Raises:
        NoUploaderError: none runs with the state folder.
        WrongUseError: the broker knows none.
        ZfsWalkError: the broker can't be asked.
    """
    with _at_doors(sought, check) if sought.state else _at_broker(sought, check) as found:
        yield found


def one_of(found: list[Uploader], mapping: str) -> Uploader:
    """The one that has a mapping, or the only one there is.

    Raises:
        WrongUseError: it is none or several.
    """
    if len(found) == 1:
        return found[0]
    having = [each for each in found if each.has(mapping)] if mapping else found
    if len(having) == 1:
        return having[0]
    names = ", ".join(f"{each.name} on {each.host}" for each in having or found)
    if mapping and not having:
        raise WrongUseError(reason=f"none of {names} has a mapping {mapping}")
    raise WrongUseError(reason=f"there are {names}; say which with --agent, and --host if need be")


@contextmanager
def _at_broker(sought: Sought, check: Callable[[], None]) -> Iterator[list[Uploader]]:
    with client_at(sought.broker, sought.timeout, check) as client:
        agents: Any = client.ask(Agents)
        there = [each for each in agents.agents if each.role == UPLOADER and each.state != "lost"]
        found = [
            Uploader(client, each.host, each.name)
            for each in there
            if sought.agent in {"", each.name} and sought.host in {"", each.host}
        ]
        if not found:
            named = f" {sought.agent}" if sought.agent else ""
            where = f" on {sought.host}" if sought.host else ""
            known = ", ".join(f"{each.name} on {each.host}" for each in there) or "none"
            raise WrongUseError(
                reason=f"the broker knows no uploader{named}{where}; it knows {known}."
                " One that has no broker is reached by its --state folder"
            )
        yield found


@contextmanager
def _at_doors(sought: Sought, check: Callable[[], None]) -> Iterator[list[Uploader]]:
    folder = Path(sought.state or "")
    names = [
        path.name.removesuffix(SUFFIX)
        for path in sorted(folder.glob(f"*{SUFFIX}"))
        if is_locked(folder, f"{path.name.removesuffix(SUFFIX)}.lock")
    ]
    chosen = [name for name in names if sought.agent in {"", name}]
    if not chosen:
        raise NoUploaderError(named=f" {sought.agent}" if sought.agent else "", path=folder)
    host = host_name(None)
    with ExitStack() as stack:
        bus = Bus()
        stack.callback(bus.close)
        found = []
        for name in chosen:
            place = stack.enter_context(endpoint(folder, name))
            client = Client(bus, (place,), host, __version__, sought.timeout, check)
            stack.callback(client.close)
            found.append(Uploader(client, host, name))
        yield found
