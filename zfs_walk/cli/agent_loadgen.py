"""``zfs-agent --role loadgen``: a run of its own, or standing by for those of its broker."""

import secrets
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from zfs_walk.cli.agent_arguments import AgentArguments
from zfs_walk.cli.connection import find_target
from zfs_walk.cli.load_reports import (
    check_files,
    check_outcome,
    check_refusal,
    check_writable,
    write_files,
)
from zfs_walk.cli.loads import (
    check_packages,
    consumers_of,
    given_loads,
    has_loads,
    settings_of,
    unpacked_config,
    wrong_folder,
)
from zfs_walk.cli.serve_agent import AgentProcess
from zfs_walk.cli.state import ipc_folder
from zfs_walk.errors import NoKeyError, WrongUseError
from zfs_walk.load.spec import LoadSpec

if TYPE_CHECKING:
    from zfs_walk.agents.link import Identity
    from zfs_walk.agents.loadgen.loop import Planner
    from zfs_walk.agents.loadgen.run import RunSettings

OF_OWN_RUN: Final = (
    "like", "set_", "rate", "bandwidth", "consumers", "duration", "seed", "heartbeat", "sample",
    "grace", "report", "witness",
)  # fmt: skip
"""Options that whoever stands by is told by its broker instead."""


def serve_loadgen(arguments: AgentArguments) -> None:
    """Make a run of its own, with a broker or without one; or those of a broker, until SIGTERM.

    Raises:
        MissingExtraError: the packages that it needs are not installed.
        LoadRefusedError: its run would come to nothing, or fill a disk.
        VerificationError: it found bytes that are not those that were written.
        LoadTroubleError: a consumer had errors, or was lost.
        ZfsWalkError: what kept it from its work.
    """
    check_packages("A load generator")
    if has_loads(arguments.target, arguments.loads):
        _make_own_run(arguments)
    else:
        _stand_by(arguments)


def _make_own_run(arguments: AgentArguments) -> None:
    specs = _specs(arguments)
    check_files(arguments.report)
    if arguments.witness:
        _check_witness(Path(arguments.witness))
        specs = [replace(each, witness=str(Path(arguments.witness).absolute())) for each in specs]
    # With packages that not everybody has.
    from zfs_walk.agents.loadgen.loop import LoadgenLoop  # noqa: PLC0415
    from zfs_walk.agents.loadgen.pool import Nursery  # noqa: PLC0415
    from zfs_walk.agents.loadgen.run import RunSettings  # noqa: PLC0415
    from zfs_walk.load.report import own_report  # noqa: PLC0415
    from zfs_walk.load.report_text import as_text  # noqa: PLC0415

    process = AgentProcess(arguments, needs_broker=_is_there_a_broker(arguments.broker))
    settings = RunSettings(
        tuple(specs), arguments.duration, arguments.max_fill, arguments.heartbeat,
        arguments.grace, arguments.sample, arguments.seed or secrets.token_hex(8),
        f"load-{secrets.token_hex(4)}",
    )  # fmt: skip
    with ExitStack() as stack:
        nursery = Nursery(ipc_folder())
        stack.callback(nursery.close)
        opened = stack.enter_context(process.opened(len(specs)))
        loop = LoadgenLoop(
            nursery, settings, opened.bus, opened.endpoints, opened.identity,
            arguments.patience, opened.handler,
        )  # fmt: skip
        process.run(loop)
    if loop.report is None:
        return
    report = own_report(loop.report, arguments.duration)
    write_files(report, arguments.report)
    check_refusal(report)
    sys.stdout.write(as_text(report))
    check_outcome(report)


def _stand_by(arguments: AgentArguments) -> None:
    context = click.get_current_context()
    if context.get_parameter_source("allow") is ParameterSource.DEFAULT:
        raise WrongUseError(
            reason="a load generator needs --target DIR, or `loads:` in the file of --config; or"
            " --allow DIR, to stand by for `zfs-ctl load start` below that folder"
            " (docs/loadgen.md)"
        )
    for name in OF_OWN_RUN:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = name.rstrip("_")
            raise WrongUseError(
                reason=f"--{option} is for a run of the agent's own (--target, --loads); one that"
                " stands by is told by `zfs-ctl load start`"
            )
    arguments.allowed()
    # With packages that not everybody has.
    from zfs_walk.agents.loadgen.loop import LoadgenLoop  # noqa: PLC0415
    from zfs_walk.agents.loadgen.pool import Nursery  # noqa: PLC0415

    process = AgentProcess(arguments)
    with ExitStack() as stack:
        nursery = Nursery(ipc_folder())
        stack.callback(nursery.close)
        opened = stack.enter_context(process.opened(1))
        loop = LoadgenLoop(
            nursery, _planner(arguments, opened.identity), opened.bus, opened.endpoints,
            opened.identity, arguments.patience, opened.handler,
        )  # fmt: skip
        process.run(loop)


def _planner(arguments: AgentArguments, identity: "Identity") -> "Planner":
    """What a run of the broker's is on this host."""
    from zfs_walk.agents.loadgen.run import RunSettings  # noqa: PLC0415 -- the package of an extra

    def planned(run: int, duration: float, config: bytes) -> "RunSettings":
        wanted = unpacked_config(config, run, arguments.allowed(), arguments.allow)
        numbers = wanted.numbers
        return RunSettings(
            wanted.specs, duration, min(numbers["max-fill"], arguments.max_fill),
            numbers["heartbeat"], numbers["grace"], numbers["sample"],
            # Contents of another agent's consumer of the same name must be told apart.
            f"{wanted.seed}/{identity.host}/{identity.name}",
            f"load-{run}-{secrets.token_hex(4)}",
        )  # fmt: skip

    return planned


def _is_there_a_broker(named: str) -> bool:
    """Whether one is named, or known; a run goes on without it when it does not answer."""
    try:
        find_target(named)
    except NoKeyError:
        if named:
            raise
        return False
    return True


def _check_witness(path: Path) -> None:
    """See that it can be written, and is a new one: rows of two runs would be one's."""
    if path.exists() and (not path.is_file() or path.stat().st_size):
        raise WrongUseError(reason=f"--witness {path}: it is there already; take another name")
    check_writable("--witness", path)


def _specs(arguments: AgentArguments) -> list[LoadSpec]:
    """The consumers' loads."""
    settings = settings_of(
        arguments.set_, arguments.rate, arguments.bandwidth, arguments.like, arguments.target
    )
    loads = given_loads(arguments.target, arguments.loads, settings)
    allowed = arguments.allowed()
    for load, origin in loads:
        wrong = wrong_folder(load.target, allowed, arguments.allow)
        if wrong:
            raise WrongUseError(reason=f"{origin}: {load.name}: {wrong}")
    # With packages that not everybody has.
    from zfs_walk.load.shaping import shaped  # noqa: PLC0415

    return shaped(consumers_of(loads, arguments.consumers))
