"""Other hosts: network namespaces, each at the end of a cable from this one (root only)."""

import ipaddress
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import CalledProcessError

from tests.process.mounts import run

NETWORK = ipaddress.ip_network("10.77.0.0/16")


@dataclass(frozen=True)
class Host:
    """A network namespace.

    Attributes:
        name: its own.
        here: this host's address at the cable; ``there``: the other one's.
    """

    name: str
    here: str
    there: str

    @property
    def inside(self) -> tuple[str, ...]:
        """Before a command: it runs there.

        Not ``ip netns exec``, which takes the mounts away, too: an unmount would not be seen.
        """
        return ("nsenter", f"--net=/run/netns/{self.name}")

    def cut(self) -> None:
        """Take the cable away: nobody is told."""
        _ip("-n", self.name, "link", "set", "cable", "down")

    def mend(self) -> None:
        """Plug the cable in, at first and again."""
        _ip("-n", self.name, "link", "set", "cable", "up")
        _ip("-n", self.name, "route", "replace", "default", "via", self.here)


def _ip(*words: str) -> None:
    run("ip", *words)


@contextmanager
def host(number: int) -> Iterator[Host]:
    """One more host, which is gone at the end; it reaches every address of this one."""
    name = f"zw{os.getpid()}h{number}"
    with ExitStack() as undo:
        _ip("netns", "add", name)
        undo.callback(_ip, "netns", "del", name)
        _ip("link", "add", name, "type", "veth", "peer", "name", "cable", "netns", name)
        undo.callback(_remove_cable, name)
        # Nobody else has the number that the system gave to the cable.
        slot = int(Path(f"/sys/class/net/{name}/ifindex").read_text()) % 2**14
        here, there = (str(NETWORK[4 * slot + end]) for end in (1, 2))
        _ip("addr", "add", f"{here}/30", "dev", name)
        _ip("link", "set", name, "up")
        _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", name, "addr", "add", f"{there}/30", "dev", "cable")
        made = Host(name, here, there)
        made.mend()
        yield made


def _remove_cable(name: str) -> None:
    # A namespace lives as long as its last process, its end of the cable, too.
    with suppress(CalledProcessError):
        _ip("link", "del", name)
