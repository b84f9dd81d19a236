"""``zfs-ctl doctor``: what support would ask for."""
# ruff: noqa: PLC0415 -- whoever asks for --help does not wait for ZeroMQ

import json
from dataclasses import asdict

import click

from zfs_walk.cli.asking import at_a_bus
from zfs_walk.cli.command import ENVIRONMENT, set_up_logging
from zfs_walk.cli.findings import BAD, OK, WARN, worst

COLOURS = {OK: "green", WARN: "yellow", BAD: "red"}


@click.command(
    epilog="Example: zfs-ctl doctor\n\nExit codes: 0 nothing is bad, 1 something is, 2 wrong use.",
    context_settings=ENVIRONMENT,
)
@click.option("--state", metavar="DIR", help="The state folder to look at.")
@at_a_bus
def doctor(state: str | None, broker: str, timeout: float, verbose: int, *, json_: bool) -> int:
    """Check this host and the bus; each line that is not ok has its cure."""
    from zfs_walk.cli.bus_checks import Reached, look_at_bus, reach
    from zfs_walk.cli.host_checks import look_at_host

    set_up_logging(verbose)
    reached = reach(broker, timeout)
    if isinstance(reached, Reached):
        sessions = len(reached.overview.agents)
        findings = [*look_at_host(state, sessions), *look_at_bus(reached)]
    else:
        findings = [*look_at_host(state, 0), reached]
    verdict = worst(findings)
    if json_:
        checks = [asdict(finding) for finding in findings]
        click.echo(json.dumps({"schema": 1, "verdict": verdict, "checks": checks}, indent=2))
    else:
        width = max(len(finding.check) for finding in findings)
        for finding in findings:
            word = click.style(f"{finding.verdict:<5}", COLOURS[finding.verdict])
            click.echo(f"{word} {finding.check:<{width}}  {finding.detail}")
            if finding.cure:
                click.echo(f"{'':<{width + 8}}-> {finding.cure}")
    return 1 if verdict == BAD else 0
