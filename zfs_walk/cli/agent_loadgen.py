"""``zfs-agent --role loadgen``: what is loaded, and where the report goes."""

import json
import os
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from zfs_walk.cli.agent_arguments import AgentArguments
from zfs_walk.cli.command import CONFIG, SETTINGS
from zfs_walk.cli.connection import find_target
from zfs_walk.cli.serve_agent import AgentProcess
from zfs_walk.cli.state import ipc_folder
from zfs_walk.config.loads import PlacedLoad, dealt, load_of, parse_setting, read_loads
from zfs_walk.config.mappings import compose
from zfs_walk.errors import (
    LoadRefusedError,
    LoadTroubleError,
    MissingExtraError,
    NoKeyError,
    VerificationError,
    WrongUseError,
)
from zfs_walk.load.spec import LoadSpec

PACKAGES: Final = {"hdrh": "hdrhistogram", "psutil": "psutil"}
"""Modules of the extra [load], and what they are installed as."""

KINDS: Final = (".txt", ".json", ".csv", ".html")
"""Files that a report can be."""


def serve_loadgen(arguments: AgentArguments) -> None:
    """Run a load test, with a broker or without one.

    Raises:
        MissingExtraError: the packages that it needs are not installed.
        LoadRefusedError: it would come to nothing, or fill a disk.
        VerificationError: it found bytes that are not those that were written.
        LoadTroubleError: a consumer had errors, or was lost.
        ZfsWalkError: what kept it from its work.
    """
    for module, package in PACKAGES.items():
        if find_spec(module) is None:
            raise MissingExtraError(feature="A load generator", package=package, extra="load")
    specs = _specs(arguments)
    _check_reports(arguments.report)
    if arguments.witness:
        _check_witness(Path(arguments.witness))
        specs = [replace(each, witness=str(Path(arguments.witness).absolute())) for each in specs]
    seed = arguments.seed or secrets.token_hex(8)
    # With packages that not everybody has.
    from zfs_walk.agents.loadgen.core import RunSettings  # noqa: PLC0415
    from zfs_walk.agents.loadgen.loop import LoadgenLoop  # noqa: PLC0415
    from zfs_walk.agents.loadgen.pool import Nursery  # noqa: PLC0415

    process = AgentProcess(arguments, needs_broker=_is_there_a_broker(arguments.broker))
    run = f"load-{secrets.token_hex(4)}"
    settings = RunSettings(
        tuple(specs), arguments.duration, arguments.max_fill, arguments.heartbeat,
        arguments.grace, arguments.sample,
    )  # fmt: skip
    with ExitStack() as stack:
        nursery = Nursery(ipc_folder(), specs, seed, run, arguments.max_fill)
        stack.callback(nursery.close)
        opened = stack.enter_context(process.opened(len(specs)))
        loop = LoadgenLoop(
            nursery, settings, seed, run, opened.bus, opened.endpoints, opened.identity,
            opened.handler,
        )  # fmt: skip
        process.run(loop)
        report = loop.report
    if report is None:
        return
    from zfs_walk.load.report import as_dict  # noqa: PLC0415
    from zfs_walk.load.report_html import as_html  # noqa: PLC0415
    from zfs_walk.load.report_text import as_csv, as_text  # noqa: PLC0415

    forms: Mapping[str, Callable[[], str]] = {
        ".txt": lambda: as_text(report),
        ".json": lambda: json.dumps(as_dict(report), indent=1, ensure_ascii=False) + "\n",
        ".csv": lambda: as_csv(report),
        ".html": lambda: as_html(report),
    }
    for file in arguments.report:
        Path(file).write_text(forms[Path(file).suffix](), encoding="utf-8")
    if report.refused:
        raise LoadRefusedError(reason=report.refused.rstrip("."))
    sys.stdout.write(as_text(report))
    faults = sum(each.figures.faults for each in report.consumers)
    if faults:
        raise VerificationError(faults=faults)
    bad = [each.spec.name for each in report.consumers if not each.ok]
    if bad:
        raise LoadTroubleError(reason=f"{', '.join(bad)} had errors, or ended early")


def _is_there_a_broker(named: str) -> bool:
    """Whether one is named, or known; a run goes on without it when it does not answer."""
    try:
        find_target(named)
    except NoKeyError:
        if named:
            raise
        return False
    return True


def _check_reports(files: Sequence[str]) -> None:
    """See that the reports can be written, before an hour's run."""
    for file in files:
        path = Path(file)
        if path.suffix not in KINDS:
            kinds = ", ".join(KINDS)
            raise WrongUseError(reason=f"--report {file}: its name must end with one of {kinds}")
        if not path.absolute().parent.is_dir():
            raise WrongUseError(reason=f"--report {file}: there is no folder {path.parent}")
        if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
            raise WrongUseError(reason=f"--report {file}: it can't be written")


def _check_witness(path: Path) -> None:
    """See that it can be written, and is a new one: rows of two runs would be one's."""
    if path.exists() and (not path.is_file() or path.stat().st_size):
        raise WrongUseError(reason=f"--witness {path}: it is there already; take another name")
    if not path.absolute().parent.is_dir():
        raise WrongUseError(reason=f"--witness {path}: there is no folder {path.parent}")
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise WrongUseError(reason=f"--witness {path}: it can't be written")


def _specs(arguments: AgentArguments) -> list[LoadSpec]:
    """The consumers' loads."""
    loads = _configured(arguments)
    allowed = arguments.allowed()
    for load, origin in loads:
        if not Path(load.target).is_dir():
            raise WrongUseError(reason=f"{origin}: {load.target}: there is no such folder")
        real = os.path.realpath(os.fsencode(load.target))
        if allowed and not any(real == each or real.startswith(each + b"/") for each in allowed):
            names = ", ".join(arguments.allow)
            raise WrongUseError(
                reason=f"{origin}: {load.name}: only {names} may be loaded (--allow)"
            )
    specs = dealt(loads, arguments.consumers)
    named = [spec.name for spec in specs]
    twice = next((name for name in named if named.count(name) > 1), "")
    if twice:
        raise WrongUseError(reason=f"{twice} is the name of two consumers; rename one of the loads")
    # With packages that not everybody has.
    from zfs_walk.load.shaping import shaped  # noqa: PLC0415

    return shaped(specs)


def _configured(arguments: AgentArguments) -> list[PlacedLoad]:
    if arguments.target and arguments.loads is not None:
        context = click.get_current_context()
        if context.get_parameter_source("target") is not ParameterSource.COMMANDLINE:
            raise WrongUseError(reason="loads and target: one of them is wanted")
    settings = _settings(arguments)
    if arguments.target:
        settings |= {"like": arguments.like} if arguments.like else {}
        return [
            load_of(target, f"load-{n}", settings) for n, target in enumerate(arguments.target, 1)
        ]  # fmt: skip
    if arguments.like:
        raise WrongUseError(reason="like goes with target; of loads each one has its own (like:)")
    if arguments.loads is None:
        reason = (
            "a load generator needs --target DIR, or `loads:` in the file of --config"
            " (docs/loadgen.md)"
        )
        raise WrongUseError(reason=reason)
    context = click.get_current_context()
    if context.get_parameter_source("loads") is ParameterSource.DEFAULT_MAP:
        return read_loads(context.meta[SETTINGS]["loads"].node, context.meta[CONFIG], settings)
    return read_loads(compose(arguments.loads, "--loads"), "--loads", settings)


def _settings(arguments: AgentArguments) -> dict[str, Any]:
    """What every load is to have."""
    settings = dict(map(parse_setting, arguments.set_))
    limits = {"rate": arguments.rate, "bandwidth": arguments.bandwidth}
    return settings | {name: limit for name, limit in limits.items() if limit}
