"""``zfs-broker --http``: where the gateway serves, who may ask, and keeping it alive."""

import importlib.util
import logging
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from zfs_walk.config.values import Described
from zfs_walk.errors import MissingExtraError, WrongUseError
from zfs_walk.gateway.address import NONE, WANTED, Address

if TYPE_CHECKING:
    from zfs_walk.gateway.brief import Brief

LOG = logging.getLogger("zfs_walk.broker")

DEFAULT_HTTP: Final = "127.0.0.1:5580"
PROGRAM: Final = (sys.executable, "-P", "-m", "zfs_walk.cli.gateway")
"""-P: nothing is imported from the folder that the broker happens to be started in."""

NEEDED: Final = ("aiohttp", "orjson", "prometheus_client")


class HttpAddress(Described):
    """The type of ``--http``."""

    name = "address"
    wanted = WANTED

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check an address."""
        if value in {"", NONE}:
            return NONE
        try:
            Address.parse(value)
        except ValueError:
            self.fail(f"{value!r} is not {WANTED}", param, ctx)
        return value


@dataclass(frozen=True, slots=True)
class GatewayPlan:
    """What the command line says about HTTP."""

    address: Address
    token: str


def plan_gateway(http: str, token_file: str | None) -> GatewayPlan | None:
    """Check everything that can be checked before anything starts; None: no HTTP.

    Raises:
        MissingExtraError: packages are missing, and HTTP was asked for.
        WrongUseError: others could read without a token, or the token's file can't be used.
    """
    if http == NONE:
        return None
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        error = MissingExtraError(feature="HTTP", package=", ".join(missing), extra="web")
        if click.get_current_context().get_parameter_source("http") is ParameterSource.DEFAULT:
            LOG.warning("%s Or turn HTTP off with: --http none", error)
            return None
        raise error
    address = Address.parse(http)
    if token_file is None and not address.is_loopback:
        raise WrongUseError(
            reason=f"--http {http} can be reached from other hosts: give a token with"
            " --http-token-file, or a loopback address"
        )
    return GatewayPlan(address, "" if token_file is None else _read_token(Path(token_file)))


def _read_token(path: Path) -> str:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise WrongUseError(reason=f"the token file {path} is no regular file")
        if found.st_uid not in {os.geteuid(), 0} or found.st_mode & 0o077:
            raise WrongUseError(
                reason=f"the token file {path} is open to other users; chmod 600 {path}"
            )
        token = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise WrongUseError(
            reason=f"the token file {path} can't be read: {error.strerror}"
        ) from error
    except UnicodeDecodeError as error:
        raise WrongUseError(reason=f"the token file {path} is not ASCII") from error
    if not token or not token.isprintable() or " " in token:
        raise WrongUseError(
            reason=f"the token file {path} must hold one word, such as: openssl rand -hex 32"
        )
    return token


@contextmanager
def kept_gateway(plan: GatewayPlan | None, brief: Callable[[int, str], "Brief"]) -> Iterator[str]:
    """Keep a gateway alive meanwhile; gives its URL, or an empty text without one.

    Args:
        plan: what to serve where.
        brief: makes what the gateway is told from its listening socket and the token.
    """
    if plan is None:
        yield ""
        return
    from zfs_walk.gateway.keeper import Keeper  # noqa: PLC0415 -- --help needs none of it

    keeper = Keeper(plan.address, PROGRAM, lambda listener: brief(listener, plan.token))
    keeper.start()
    try:
        yield keeper.url
    finally:
        keeper.close()
