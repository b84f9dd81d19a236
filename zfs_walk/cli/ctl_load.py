"""``zfs-ctl load``: load runs of many agents."""
# ruff: noqa: PLC0415 -- whoever asks for --help does not wait for ZeroMQ

import functools
import json
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from zfs_walk.cli.asking import ask, at_a_bus, client_at
from zfs_walk.cli.command import (
    CONFIG,
    ENVIRONMENT,
    PREFIX,
    RUN,
    SECONDS,
    SETTINGS,
    broker_option,
    read_settings,
    set_up_logging,
    shared_with,
)
from zfs_walk.cli.ctl_witness import witness
from zfs_walk.cli.load_options import load_options, report_option
from zfs_walk.errors import WrongUseError

if TYPE_CHECKING:
    from zfs_walk.protocol.messages import Done, LoadList, LoadStarted

EXIT_CODES: Final = """

Exit codes: 0 all well, 1 a consumer had errors or an agent was lost, 2 wrong use or refused, 4 no
broker, 5 another protocol version, 10 a package is missing, 12 stopped before it began, 14 no
usable key, 16 wrong bytes were found."""

TAKEN: Final = frozenset({
    "loads", "target", "like", "set_", "rate", "bandwidth", "consumers", "duration", "max_fill",
    "seed", "heartbeat", "sample", "grace", "report", "broker", "insecure", "timeout", "verbose",
})  # fmt: skip
"""What ``load start`` takes of a load generator's file; the rest is each agent's own business."""


def _read_config(context: click.Context, _parameter: click.Parameter, file: str | None) -> None:
    """Take the file of a load generator: its loads and what belongs to the run."""
    if not file:
        return
    from zfs_walk.cli.agent import LOADGEN, main

    with click.Context(main, info_name="zfs-agent") as agent:
        settings = read_settings(agent, file)
    role = settings.pop("role", None)
    if role is not None and role.value != LOADGEN:
        raise WrongUseError(reason=f"{role.origin}: role {role.value}: {LOADGEN} is wanted")
    taken = {name: setting for name, setting in settings.items() if name in TAKEN}
    context.meta[CONFIG], context.meta[SETTINGS] = file, taken
    context.default_map = {name: setting.value for name, setting in taken.items()}


def _of_a_start(function: Any) -> Any:
    """Add the options of ``load start``."""
    for option in (
        click.option("--json", "json_", is_flag=True, envvar=f"{PREFIX}_JSON",
                     help="JSON instead of text."),
        click.option("--timeout", type=SECONDS, default=10.0, show_default=True,
                     help="Seconds to wait for the broker's answer."),
        broker_option,
        functools.partial(shared_with, _read_config),
    ):  # fmt: skip
        function = option(function)
    return function


@click.group("load")
def load_group() -> None:
    """Load runs of many agents: start, list, stop, report; and what witnesses say of others."""


load_group.add_command(witness)


@load_group.command(
    "start",
    epilog="""Examples:

\b
  zfs-ctl load start --config loadgen.yaml --agents 2 --wait
  zfs-ctl load start --target /scratch --agents 8 --consumers 4 --duration 60 --wait

The load generators stand by: zfs-agent --role loadgen --allow DIR. The file is one of theirs
(configs/loadgen.yaml); its loads are each agent's, and its targets folders of the agents. Of two
limits, the run's and an agent's own (--max-fill), the lower one counts.

With --wait the first Ctrl-C ends the run on all agents and prints the report; a second one leaves,
and the run goes on to its end."""
    + EXIT_CODES,
    context_settings=ENVIRONMENT,
)
@click.option("--agents", type=click.IntRange(1, 10_000), default=1, show_default=True,
              help="Load generators that make the run.")  # fmt: skip
@click.option("--gather", type=click.FloatRange(0.0, 1e9), default=30.0, show_default=True,
              help="Seconds to wait until so many of them stand by.")  # fmt: skip
@click.option("--wait", is_flag=True, help="Show the run until it is over, and print its report.")
@load_options()
@_of_a_start
def load_start(  # noqa: PLR0913, PLR0917 -- one argument an option
    agents: int, gather: float, wait: bool, loads: Any, target: tuple[str, ...], like: str,  # noqa: FBT001
    set_: tuple[str, ...], rate: float, bandwidth: int, consumers: int, duration: float,
    max_fill: float, seed: str, heartbeat: float, sample: float, grace: float,
    report: tuple[str, ...], broker: str, timeout: float, verbose: int, *, json_: bool,
) -> None:  # fmt: skip
    """Let several load generators begin at once."""
    from zfs_walk.cli.load_reports import check_files
    from zfs_walk.cli.loads import check_packages, packed_config, settings_of
    from zfs_walk.protocol.messages import MOST_CONFIG, LoadStart

    set_up_logging(verbose)
    if report and not wait:
        raise WrongUseError(
            reason="--report goes with --wait; else `zfs-ctl load report RUN --report FILE` later"
        )
    if wait:
        check_packages("The report of a load run")
    check_files(report)
    settings = settings_of(set_, rate, bandwidth, like, target)
    config = packed_config(
        target, loads, settings, seed, consumers=consumers, max_fill=max_fill,
        heartbeat=heartbeat, sample=sample, grace=grace,
    )  # fmt: skip
    if len(config) > MOST_CONFIG:
        raise WrongUseError(reason=f"loads: {len(config):,} bytes; at most {MOST_CONFIG:,} travel")
    with client_at(broker, timeout) as client:
        started: LoadStarted = client.ask(
            lambda name, until: LoadStart(
                name, until, agents, round(duration * 1000), round(gather * 1000), config
            )
        )
        if not wait:
            number = {"schema": 1, "run": started.run}
            click.echo(json.dumps(number) if json_ else started.run)
            return
        from zfs_walk.cli.load_follow import follow

        _conclude(follow(client, started.run), report, json_=json_)


@load_group.command(
    "list", epilog="Example: zfs-ctl load list" + EXIT_CODES, context_settings=ENVIRONMENT
)
@at_a_bus
def load_list(broker: str, timeout: float, verbose: int, *, json_: bool) -> None:
    """List the load runs, the newest first."""
    from zfs_walk.cli.overview import load_json
    from zfs_walk.cli.screen import print_out, show_loads
    from zfs_walk.protocol.messages import Loads

    set_up_logging(verbose)
    reply: LoadList = ask(broker, timeout, Loads)
    if json_:
        rows = [load_json(line) for line in reply.loads]
        click.echo(json.dumps({"schema": 1, "loads": rows}, indent=2))
        return
    print_out(show_loads(reply.loads))


@load_group.command(
    "stop", epilog="Example: zfs-ctl load stop 3" + EXIT_CODES, context_settings=ENVIRONMENT
)
@click.argument("run", type=RUN)
@at_a_bus
def load_stop(run: int, broker: str, timeout: float, verbose: int, *, json_: bool) -> None:
    """End a load run before its time; its agents report what they have."""
    from zfs_walk.protocol.messages import LoadStop

    set_up_logging(verbose)
    reply: Done = ask(broker, timeout, lambda name, until: LoadStop(name, until, run))
    if json_:
        click.echo(json.dumps({"schema": 1, "run": run, "detail": reply.detail}))
    else:
        click.echo(f"load run {run}: {reply.detail}")


@load_group.command(
    "report",
    epilog="Examples:\n\n\b\n  zfs-ctl load report 3\n  zfs-ctl load report 3 --report load.html"
    "\n\nWhile the run goes on, this is what its agents have reported so far." + EXIT_CODES,
    context_settings=ENVIRONMENT,
)
@click.argument("run", type=RUN)
@report_option("Write it here, too: .txt, .json, .csv or .html; may be given several times.")
@at_a_bus
def load_report(  # noqa: PLR0913 -- one argument an option
    run: int, report: tuple[str, ...], broker: str, timeout: float, verbose: int, *, json_: bool
) -> None:
    """Print a load run's report, of all its agents."""
    from zfs_walk.cli.load_reports import check_files
    from zfs_walk.cli.loads import check_packages

    set_up_logging(verbose)
    check_packages("The report of a load run")
    check_files(report)
    from zfs_walk.cli.load_follow import report_of

    with client_at(broker, timeout) as client:
        found = report_of(client, run)
    _conclude(found, report, json_=json_)


def _conclude(found: Any, files: tuple[str, ...], *, json_: bool) -> None:
    """Print and write a report, and end with the exit code that it stands for."""
    from zfs_walk.cli.load_reports import as_json, check_outcome, check_refusal, write_files
    from zfs_walk.load.report_text import as_text

    write_files(found, files)
    if json_:
        sys.stdout.write(as_json(found))
    check_refusal(found)
    if not json_:
        sys.stdout.write(as_text(found))
    check_outcome(found)
