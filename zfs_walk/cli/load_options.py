"""What a load run is asked for with: by a load generator of its own, or by whoever starts many."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from zfs_walk.cli.command import SECONDS
from zfs_walk.cli.option_types import Loads, Rate

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def load_options(role: str = "") -> Callable[[Decorated], Decorated]:
    """Add them.

    Args:
        role: that alone has them, as its help says; empty: the command has no other.
    """

    def said(text: str) -> str:
        return f"{role}: {text[0].lower()}{text[1:]}" if role else text

    options = (
        click.option("--loads", metavar="YAML", type=Loads(),
                     help=said("What the consumers do, a list; meant for the file of --config"
                               " (docs/loadgen.md).")),
        click.option("--target", multiple=True, metavar="DIR", type=click.Path(readable=False),
                     help=said("Instead of --loads: write files of 64 MiB into this folder; may be"
                               " given several times.")),
        click.option("--like", metavar="CATALOG", default="", type=click.Path(readable=False),
                     help=said("With --target: files of the sizes and depths of this catalog's"
                               " instead of 64 MiB.")),
        click.option("--set", "set_", multiple=True, metavar="KEY=VALUE",
                     help=said("What every load has, such as work=read, block=4K or direct=true"
                               " (docs/loadgen.md); may be given several times.")),
        click.option("--rate", type=click.FloatRange(0.0, 1e9), default=0.0, show_default=True,
                     help=said("Operations a second of each consumer; 0: as its load says.")),
        click.option("--bandwidth", metavar="RATE", type=Rate(), default=0, show_default=True,
                     help=said("Bytes a second of each consumer, such as 10M; 0: as its load"
                               " says.")),
        click.option("--consumers", type=click.IntRange(0, 1000), default=0, show_default=True,
                     help=said("Processes, which take the loads in turn; 0: one for each load.")),
        click.option("--duration", type=SECONDS, default=60.0, show_default=True,
                     help=said("Seconds that the run takes.")),
        click.option("--max-fill", type=click.FloatRange(0.0, 100.0), default=90.0,
                     show_default=True,
                     help=said("Percent of a target's file system that may be in use.")),
        click.option("--seed", metavar="TEXT", default="",
                     help=said("What contents and places follow from; default: a new one for each"
                               " run, which the report names.")),
        click.option("--heartbeat", type=SECONDS, default=1.0, show_default=True,
                     help=said("Seconds between two heartbeats of a consumer.")),
        click.option("--sample", type=SECONDS, default=1.0, show_default=True,
                     help=said("Seconds between two samples of CPU, memory and devices.")),
        click.option("--grace", type=SECONDS, default=30.0, show_default=True,
                     help=said("Seconds that a consumer may stay silent, before the run or after"
                               " it, until it is given up.")),
        report_option(said("Write the report here, too: .txt, .json, .csv or .html; may be given"
                           " several times.")),
    )  # fmt: skip

    def add(function: Decorated) -> Decorated:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def report_option(text: str) -> Callable[[Decorated], Decorated]:
    """Where a report goes."""
    return click.option(
        "--report", multiple=True, metavar="FILE", type=click.Path(dir_okay=False), help=text
    )
