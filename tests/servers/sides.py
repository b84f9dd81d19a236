"""Other sides of a mirror: where they are, how they are broken, and what is there.

What is there is told by `find` and `sha256sum`, of objects after boto3 has fetched them.
"""

import os
import random
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.servers import ssh
from tests.servers.compare import tree
from tests.servers.proxy import Proxy, proxied
from tests.servers.s3 import Home, program, served


class Side(Protocol):
    """Where it is, how it is broken, and what is there.

    Attributes:
        url: as a mapping has it.
        options: of the mapping.
        rclone: the environment with which rclone finds it, not through the proxy ...
        remote: ... under this name.
    """

    url: str
    options: Mapping[str, Any]
    rclone: Mapping[str, str]
    remote: str

    def disturb(self, chance: random.Random) -> None:
        """Break something for a while."""
        ...

    def tree(self, folder: Path) -> dict[bytes, str]:
        """What is there, as `compare.tree` tells it; the folder is for what must be fetched."""
        ...

    def unfinished(self) -> list[str]:
        """What is there and should not be."""
        ...


class InFolder:
    """Another folder: only the uploader breaks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "copy"
        self._folder.mkdir()
        self.url = f"file://{self._folder}"
        self.options: Mapping[str, Any] = {}
        self.rclone: Mapping[str, str] = {}
        self.remote = str(self._folder)

    def disturb(self, chance: random.Random) -> None:
        """A folder that is not there for a while; permissions would not stop root."""
        aside = self._folder.with_name("aside")
        self._folder.rename(aside)
        time.sleep(chance.uniform(0.1, 1.0))
        aside.rename(self._folder)

    def tree(self, _folder: Path) -> dict[bytes, str]:
        return tree(self._folder)

    def unfinished(self) -> list[str]:
        return [str(path) for path in self._folder.rglob(".zfs-walk*.part")]


class Served:
    """A server behind a proxy.

    Attributes:
        proxy: before it.
        start: starts the server again.
        kill: kills it with all that it has started.
    """

    def __init__(self, proxy: Proxy, start: Callable[[], None], kill: Callable[[], None]) -> None:
        self.proxy, self.start, self.kill = proxy, start, kill

    def disturb(self, chance: random.Random) -> None:
        """Kill the server, cut its connections, flip a bit."""
        match chance.randrange(4):
            case 0:
                self.kill()
                time.sleep(chance.uniform(0.2, 2.0))
                self.start()
            case 1:
                self.proxy.down()
                time.sleep(chance.uniform(0.2, 3.0))
                self.proxy.up()
            case 2:
                self.proxy.cut_after(chance.randrange(1 << 20))
            case _:
                self.proxy.flip_after(chance.randrange(1 << 20))


class InBucket(Served):
    """An S3 server: ``weed`` or ``rclone``."""

    def __init__(self, stack: ExitStack, kind: str) -> None:
        server = stack.enter_context(served(kind))
        proxy = stack.enter_context(proxied(server.port))
        super().__init__(proxy, server.start, server.kill)
        self._home = home = Home(server)
        stack.callback(home.client.close)
        self.url = home.url
        self.options: Mapping[str, Any] = home.options(
            endpoint_url=f"http://127.0.0.1:{proxy.port}"
        )
        self.rclone: Mapping[str, str] = {
            "RCLONE_S3_PROVIDER": "Other", "RCLONE_S3_ENV_AUTH": "true",
            "RCLONE_S3_ENDPOINT": server.endpoint, "RCLONE_S3_REGION": "us-east-1",
        }  # fmt: skip
        self.remote = f":s3:{home.url.removeprefix('s3://')}"

    def tree(self, folder: Path) -> dict[bytes, str]:
        self._home.fetch(folder)
        return tree(folder)

    def unfinished(self) -> list[str]:
        return self._home.uploads()


class OnServer(Served):
    """An SFTP server: ``sshd`` or ``rclone``."""

    def __init__(self, stack: ExitStack, kind: str) -> None:
        if kind == "sshd" and not ssh.SSHD.exists():
            pytest.skip("needs sshd")
        server = stack.enter_context(ssh.serving(kind))
        proxy = stack.enter_context(proxied(server.port))
        super().__init__(proxy, server.start, server.stop)
        self._folder = server.served
        self.url = server.url("", proxy.port)
        self.options: Mapping[str, Any] = server.options(proxy.port)
        self.rclone: Mapping[str, str] = {
            "RCLONE_SFTP_HOST": "127.0.0.1", "RCLONE_SFTP_PORT": str(server.port),
            "RCLONE_SFTP_USER": server.user, "RCLONE_SFTP_KEY_FILE": str(server.key),
            "RCLONE_SFTP_SHELL_TYPE": "none",
        }  # fmt: skip
        self.remote = f":sftp:{server.root}"

    def tree(self, _folder: Path) -> dict[bytes, str]:
        return tree(self._folder)

    def unfinished(self) -> list[str]:
        return [str(path) for path in self._folder.rglob(".zfs-walk*.part")]


def open_side(kind: str, folder: Path, stack: ExitStack) -> Side:
    """The other side of a kind, closed with the stack."""
    match kind:
        case "file":
            return InFolder(folder)
        case "s3":
            return InBucket(stack, "weed")
        case _:
            return OnServer(stack, "sshd")


def rclone_differences(data: Path, side: Side, names: Iterable[bytes]) -> str:
    """What rclone has to say about a folder and its other side, byte by byte; empty: nothing.

    Args:
        data: the folder.
        side: its other side.
        names: below it; those that rclone takes for what they are are compared.
    """
    said = [name.decode() for name in names if _is_said(name)]
    words = [
        program("rclone"), "check", "--download", "--files-from-raw", "-",
        "--no-unicode-normalization", "--config", "/dev/null", "--log-level", "NOTICE",
        str(data), side.remote,
    ]  # fmt: skip
    ended = subprocess.run(
        words, input="".join(f"{name}\n" for name in said), env={**os.environ, **side.rclone},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    agreed = f"{len(said)} matching files"
    return "" if not ended.returncode and agreed in ended.stderr else ended.stderr


def _is_said(name: bytes) -> bool:
    try:
        return name.decode().isprintable() and not {*b"\\%"} & {*name}
    except UnicodeDecodeError:
        return False
