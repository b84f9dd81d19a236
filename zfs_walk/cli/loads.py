"""The loads of a load run: from whoever wants it, as JSON, to each agent that makes it."""

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import click
import yaml
from click.core import ParameterSource

from zfs_walk.cli.command import CONFIG, SETTINGS
from zfs_walk.config.loads import PlacedLoad, dealt, load_of, parse_setting, read_loads
from zfs_walk.config.mappings import compose
from zfs_walk.errors import LoadRefusedError, MissingExtraError, WrongUseError
from zfs_walk.load.shape import Shape
from zfs_walk.load.spec import LoadSpec

PACKAGES: Final = {"hdrh": "hdrhistogram", "psutil": "psutil"}
"""Modules of the extra [load], and what they are installed as."""

NUMBERS: Final = {
    "consumers": (0, 1000),
    "max-fill": (0, 100),
    "heartbeat": (1e-9, 1e9),
    "sample": (1e-9, 1e9),
    "grace": (1e-9, 1e9),
}
"""Of a configuration as it travels, besides `loads`, `shapes` and `seed`: least and most."""


def check_packages(feature: str) -> None:
    """See that the extra [load] is there.

    Raises:
        MissingExtraError: it is not.
    """
    for module, package in PACKAGES.items():
        if find_spec(module) is None:
            raise MissingExtraError(feature=feature, package=package, extra="load")


def has_loads(target: Sequence[str], loads: Any) -> bool:
    """Whether this command was told what to load."""
    return bool(target) or loads is not None


def given_loads(target: Sequence[str], loads: Any, settings: Mapping[str, Any]) -> list[PlacedLoad]:
    """The loads of ``--target`` or ``--loads``, which may come from the file of ``--config``.

    Args:
        target: of ``--target``.
        loads: of ``--loads``, or of the file.
        settings: what every load is to have: `settings_of`.

    Raises:
        WrongUseError: something is wrong with them.
    """
    context = click.get_current_context()
    said = context.get_parameter_source("target") is ParameterSource.COMMANDLINE
    if target and loads is not None and not said:
        raise WrongUseError(reason="loads and target: one of them is wanted")
    if target:
        return [load_of(each, f"load-{n}", settings) for n, each in enumerate(target, 1)]
    if context.get_parameter_source("loads") is ParameterSource.DEFAULT_MAP:
        return read_loads(context.meta[SETTINGS]["loads"].node, context.meta[CONFIG], settings)
    return read_loads(compose(loads, "--loads"), "--loads", settings)


def settings_of(
    set_: Sequence[str], rate: float, bandwidth: int, like: str, target: Sequence[str]
) -> dict[str, Any]:
    """What every load is to have, of the options of these names.

    Raises:
        WrongUseError: a key, or its value, is none; or ``like`` is not for these loads.
    """
    if like and not target:
        raise WrongUseError(reason="like goes with target; of loads each one has its own (like:)")
    options = {"rate": rate, "bandwidth": bandwidth, "like": like}
    settings = dict(map(parse_setting, set_))
    return settings | {name: given for name, given in options.items() if given}


def consumers_of(loads: Sequence[PlacedLoad], consumers: int) -> list[LoadSpec]:
    """The consumers of one agent.

    Raises:
        WrongUseError: two of them would have the same name.
    """
    specs = dealt(loads, consumers)
    named = [spec.name for spec in specs]
    twice = next((name for name in named if named.count(name) > 1), "")
    if twice:
        raise WrongUseError(reason=f"{twice} is the name of two consumers; rename one of the loads")
    return specs


def wrong_folder(target: str, allowed: Sequence[bytes], allow: Sequence[str]) -> str:
    """Why a folder may not be loaded here; empty: it may be.

    Args:
        target: the folder.
        allowed: where the allowed folders really are; none: everything is allowed.
        allow: as they were named.
    """
    if not Path(target).is_dir():
        return f"{target}: there is no such folder"
    real = os.path.realpath(os.fsencode(target))
    if allowed and not any(real == each or real.startswith(each + b"/") for each in allowed):
        return f"{target}: only {', '.join(allow)} may be loaded (--allow)"
    return ""


# ------------------------------------------------------------------------- for many agents


def packed_config(
    target: Sequence[str], loads: Any, settings: Mapping[str, Any], seed: str, **numbers: float
) -> bytes:
    """What the agents of a load run are told, checked as far as that is possible here.

    Args:
        target: of ``--target``.
        loads: of ``--loads``, or of the file.
        settings: what every load is to have: `settings_of`.
        seed: of the run; empty: a new one.
        numbers: those of `NUMBERS`, with underscores.

    Raises:
        CatalogError: a catalog that a load is to be like is none, or can't be taken.
        WrongUseError: something is wrong with them.
    """
    if not has_loads(target, loads):
        reason = "name what to load: --config FILE with `loads:`, or --target DIR (docs/loadgen.md)"
        raise WrongUseError(reason=reason)
    placed = given_loads(target, loads, settings)
    consumers_of(placed, int(numbers["consumers"]))
    told = [
        _told(load, each.spec, settings)
        for load, each in zip(
            [{"target": each} for each in target] or _as_data(loads), placed, strict=True
        )
    ]
    for load, each in zip(told, placed, strict=True):
        if not Path(load["target"]).is_absolute():
            reason = (
                f"{each.origin}: target {load['target']}: a path that begins with / is wanted,"
                " as the agents have folders of their own"
            )
            raise WrongUseError(reason=reason)
    return json.dumps(
        {
            "loads": told,
            "shapes": _shapes(placed),
            "seed": seed or secrets.token_hex(8),
            **{name: numbers[name.replace("-", "_")] for name in NUMBERS},
        }
    ).encode()


def _told(load: Mapping[str, Any], spec: LoadSpec, settings: Mapping[str, Any]) -> dict[str, Any]:
    """A load as the agents are told it: what is set replaces what is said."""
    # However that is spelled.
    said = {name: value for name, value in load.items() if name.replace("-", "_") not in settings}
    told = said | dict(settings)
    if spec.like:
        told["like"] = spec.like
    return told


def _shapes(loads: Sequence[PlacedLoad]) -> dict[str, Any]:
    """What the catalogs are like that loads are to be like: the agents need not have them."""
    likes = {load.spec.like for load in loads if load.spec.like}
    if not likes:
        return {}
    # With packages that not everybody has.
    from zfs_walk.load.shaping import shape_of, shaped  # noqa: PLC0415

    shapes = {like: shape_of(like) for like in likes}
    # Refused now, not on every agent, if a load can't be of its shape.
    shaped((load.spec for load in loads), shapes)
    return {like: astuple(shape) for like, shape in shapes.items()}


def _as_data(loads: Any) -> list[dict[str, Any]]:
    """The loads as plain data: those of a file are that already."""
    data: list[dict[str, Any]] = yaml.safe_load(loads) if isinstance(loads, str) else loads
    return data


@dataclass(frozen=True, slots=True)
class Wanted:
    """A configuration as an agent has it.

    Attributes:
        specs: of its consumers, their targets where they really are.
        seed: of the whole run.
        numbers: those of `NUMBERS`.
    """

    specs: tuple[LoadSpec, ...]
    seed: str
    numbers: dict[str, float]


def _check(numbers: Mapping[str, float]) -> None:
    for name, (least, most) in NUMBERS.items():
        if not least <= numbers[name] <= most:
            raise ValueError(name)


def unpacked_config(
    config: bytes, run: int, allowed: Sequence[bytes], allow: Sequence[str]
) -> Wanted:
    """What a load run is on this host.

    Args:
        config: what `packed_config` gave, or somebody else.
        run: its number.
        allowed: where the allowed folders really are; none: everything is allowed.
        allow: as they were named.

    Raises:
        WrongUseError: it can't be understood, as it is of another release.
        LoadRefusedError: a folder is not there, or may not be loaded.
    """
    name = f"load run {run}"
    try:
        given = json.loads(config)
        loads = json.dumps(given["loads"])
        shapes = {str(like): Shape.of(*shape) for like, shape in given["shapes"].items()}
        seed = str(given["seed"])
        numbers = {each: float(given[each]) for each in NUMBERS}
        _check(numbers)
    except (AttributeError, ValueError, KeyError, TypeError) as error:
        raise WrongUseError(reason=f"{name}: its configuration is not understood") from error
    specs = consumers_of(read_loads(compose(loads, name), name), int(numbers["consumers"]))
    for spec in specs:
        wrong = wrong_folder(spec.target, allowed, allow)
        if spec.like and spec.like not in shapes:
            # Nobody else's word makes this host read a catalog of its own.
            wrong = f"the shape of {spec.like} did not come with the run"
        if wrong:
            raise LoadRefusedError(reason=f"{spec.name}: {wrong}")
    # A link that is changed later must not lead anywhere else.
    real = [replace(spec, target=os.path.realpath(spec.target)) for spec in specs]
    # With packages that not everybody has.
    from zfs_walk.load.shaping import shaped  # noqa: PLC0415

    return Wanted(tuple(shaped(real, shapes)), seed, numbers)
