"""Types of options whose values have a form of their own."""

import re
from typing import Any

import click

from zfs_walk.config.names import NAME_FORM, NAME_PATTERN
from zfs_walk.config.rates import RATE_FORM, parse_rate
from zfs_walk.config.values import Described


class Matching(Described):
    """A type of option whose values are text that matches a pattern, as a whole.

    Attributes:
        pattern: a regular expression.
    """

    pattern: str

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check a value."""
        if not re.fullmatch(self.pattern, value):
            self.fail(f"{value!r} is not accepted; accepted: {self.wanted}", param, ctx)
        return value


class AgentName(Matching):
    """The type of ``--name``."""

    name = "name"
    wanted = NAME_FORM
    pattern = NAME_PATTERN


class BoundEndpoint(Matching):
    """The type of options that name a socket of the broker's."""

    name = "endpoint"
    wanted = "tcp://HOST:PORT or ipc:///PATH"
    pattern = r"tcp://[^/]+:([0-9]{1,5}|\*)|ipc:///.+"


class Mappings(Described):
    """The type of ``--mappings``; `zfs_walk.config.mappings` says what is wrong with them."""

    name = "mappings"
    wanted = "a list of maps (docs/uploader.md)"

    def is_typed(self, value: Any) -> bool:
        """Take whatever YAML has: what is wrong in it is told with its line."""
        return value is not None

    def convert(
        self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None
    ) -> Any:
        """Take what there is."""
        return value


class Loads(Mappings):
    """The type of ``--loads``; `zfs_walk.config.loads` says what is wrong with them."""

    name = "loads"
    wanted = "a list of maps (docs/loadgen.md)"


class Rate(Described):
    """Bytes a second."""

    name = "rate"
    wanted = RATE_FORM

    def is_typed(self, value: Any) -> bool:
        """Take a whole number, too."""
        return isinstance(value, int) or super().is_typed(value)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Count the units in."""
        try:
            return parse_rate(str(value))
        except ValueError:
            self.fail(f"{value!r} is not accepted; accepted: {self.wanted}", param, ctx)
