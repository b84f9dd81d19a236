"""Times on the command line: ``90s``, ``10m``, ``2h``, ``30d``."""

import re
from typing import Final

import click

UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
"""Seconds in each unit."""

LONGEST: Final = 10_000 * UNITS["d"]

_FORM: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([smhd])", re.ASCII)


class Duration(click.ParamType):  # type: ignore[type-arg]  # older click has no argument
    """A number with its unit, as seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The seconds that a text stands for; a number is a default of ours."""
        if isinstance(value, float):
            return value
        found = _FORM.fullmatch(str(value))
        seconds = float(found[1]) * UNITS[found[2]] if found else LONGEST + 1
        if seconds > LONGEST:
            self.fail(f"{value!r} is no time such as 90s, 10m, 2h or 30d", param, ctx)
        return seconds


DURATION: Final = Duration()
