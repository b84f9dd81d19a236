"""The loads of a load generator, as YAML has them.

What is wrong is named with its file, line and key, and with what would be accepted.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, NamedTuple

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from zfs_walk.config.files import advice
from zfs_walk.config.names import NAME_FORM, NAME_PATTERN
from zfs_walk.config.nodes import line_of, node_at
from zfs_walk.config.rates import RATE_FORM, SIZE_FORM, parse_rate, parse_size
from zfs_walk.config.values import not_accepted
from zfs_walk.errors import WrongUseError
from zfs_walk.load.spec import KEEP_ALL, KINDS, LoadSpec, Order, Sizes, Sync, Work

SIZES_FORM: Final = f"{SIZE_FORM}; or a map of such sizes to their weights, as {{4K: 3, 1M: 1}}"

_MOST: Final = 2**53


class PlacedLoad(NamedTuple):
    """A load, and the file and line where it begins."""

    spec: LoadSpec
    origin: str


def _size(given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int | str):
        raise ValueError(given)  # noqa: TRY004 -- what pydantic takes
    size = parse_size(str(given))
    if size > _MOST:
        raise ValueError(given)
    return size


def _sizes(given: Any) -> Sizes:
    """One size, or a map of sizes to weights."""
    if not isinstance(given, dict):
        return ((_size(given), 1),)
    sizes = tuple((_size(size), weight) for size, weight in given.items())
    if not sizes or any(type(weight) is not int or weight < 1 for _, weight in sizes):
        raise ValueError(given)
    return sizes


def _block(given: Any) -> Sizes:
    sizes = _sizes(given)
    if any(not 1 <= size <= 1 << 30 for size, _ in sizes):
        raise ValueError(given)
    return sizes


def _rate(given: Any) -> Any:
    return parse_rate(given) if isinstance(given, str) else given


def _keep(given: Any) -> int:
    if given == "all":
        return KEEP_ALL
    if type(given) is not int or not 0 <= given <= 1 << 32:
        raise ValueError(given)
    return given


def _weights(given: Any) -> tuple[int, ...]:
    if not isinstance(given, dict) or given.keys() - set(KINDS):
        raise ValueError(given)
    weights = tuple(given.get(kind, 0) for kind in KINDS)
    if any(type(weight) is not int or weight < 0 for weight in weights) or not any(weights):
        raise ValueError(given)
    return weights


def _folder(given: Any) -> str:
    if not isinstance(given, str) or not given or "\0" in given:
        raise ValueError(given)
    return os.path.abspath(given)  # noqa: PTH100 -- Path keeps '..'


def _catalog(given: Any) -> str:
    return "" if given == "" else _folder(given)


def _choice(words: Sequence[str]) -> Any:
    return Field(description=" or ".join(words))


_Flag = Annotated[bool, Field(description="true or false")]
_Percent = Annotated[int, Field(ge=0, le=100, description="a whole number from 0 to 100")]


class _Form(BaseModel):
    """The keys of a load; each one's description says what it accepts."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(pattern=f"^{NAME_PATTERN}$", description=NAME_FORM)] = ""
    target: Annotated[Any, AfterValidator(_folder), Field(description="the path of a folder")]
    work: Annotated[Literal["write", "read", "mixed", "metadata"], _choice(tuple(Work))] = "write"
    order: Annotated[Literal["sequential", "random"], _choice(tuple(Order))] = "sequential"
    file_size: Annotated[Any, AfterValidator(_sizes), Field(description=SIZES_FORM)] = "64M"
    like: Annotated[
        Any, AfterValidator(_catalog), Field(description="the path of a catalog's folder")
    ] = ""
    like_max: Annotated[
        Any, AfterValidator(_size), Field(description=f"{SIZE_FORM}; 0: no limit")
    ] = 0
    block: Annotated[
        Any, AfterValidator(_block), Field(description=f"{SIZES_FORM}; 1G at most")
    ] = "1M"
    files: Annotated[
        int, Field(ge=1, le=10_000_000, description="a whole number from 1 to 10000000")
    ] = 4
    count: Annotated[
        int, Field(ge=0, le=1 << 40, description="a whole number, at least 0; 0: no number")
    ] = 0
    read_percent: _Percent = 70
    direct: _Flag = False
    sync: Annotated[Literal["none", "file", "block"], _choice(tuple(Sync))] = "none"
    rate: Annotated[
        float, Field(ge=0, le=1e9, description="operations a second, a number; 0: no limit")
    ] = 0.0
    bandwidth: Annotated[
        int, BeforeValidator(_rate), Field(ge=0, le=_MOST, description=RATE_FORM)
    ] = 0
    ramp: Annotated[float, Field(ge=0, le=1e6, description="seconds, at least 0")] = 0.0
    keep: Annotated[
        Any, AfterValidator(_keep), Field(description="a whole number, at least 0, or all")
    ] = 0
    verify: _Flag = False
    compressible: Annotated[int, Field(ge=0, le=95, description="a whole number from 0 to 95")] = 0
    duplicates: _Percent = 0
    metadata: Annotated[
        Any, AfterValidator(_weights),
        Field(description=f"a map of weights, of {', '.join(KINDS)}"),
    ] = {"create": 1, "stat": 1, "rename": 1, "delete": 1}  # fmt: skip


KEYS: Final = tuple(_Form.model_fields)
"""Of a load."""


def default_of(key: str) -> Any:
    """What a key of a load is when it is left out, as YAML has it; None: there is nothing."""
    field = _Form.model_fields[key]
    return None if field.is_required() else field.get_default(call_default_factory=True)


def parse_setting(text: str) -> tuple[str, Any]:
    """A key that every load is to have, and its value, of KEY=VALUE with the value in YAML.

    Raises:
        WrongUseError: there is no such key, or it does not accept the value.
    """
    key, found, value = text.partition("=")
    name = key.strip().replace("-", "_")
    settable = [each.replace("_", "-") for each in KEYS if each not in {"name", "target"}]
    origin = f"--set {text}"
    if not found:
        raise WrongUseError(reason=f"{origin}: KEY=VALUE is wanted")
    if name.replace("_", "-") not in settable:
        raise WrongUseError(reason=f"{origin}: no key that can be set{advice(key, settable)}")
    try:
        given = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise WrongUseError(reason=f"{origin}: {value} is no YAML") from error
    try:
        _Form.model_validate({"target": "/", name: given})
    except ValidationError as error:
        accepted = _Form.model_fields[name].description or ""
        raise WrongUseError(reason=not_accepted(origin, given, accepted)) from error
    return name, given


def read_loads(
    node: yaml.Node, file: str, settings: Mapping[str, Any] = MappingProxyType({})
) -> list[PlacedLoad]:
    """The loads of a list in YAML.

    Args:
        node: the list.
        file: names it in messages.
        settings: of `parse_setting`; they replace what the list says.

    Raises:
        WrongUseError: something is wrong with them.
    """
    return _Reader(file, settings).read(node)


def load_of(
    target: str, name: str, settings: Mapping[str, Any] = MappingProxyType({})
) -> PlacedLoad:
    """The load of a folder, with the default of whatever is not set.

    Raises:
        WrongUseError: the settings do not go together.
    """
    form = _Form.model_validate({"target": target, **settings})
    spec = _build(form, name)
    wrong = _unfit(form, spec)
    if wrong:
        raise WrongUseError(reason=f"--set: {wrong}")
    return PlacedLoad(spec, "--target")


def _unfit(form: _Form, spec: LoadSpec) -> str:
    """What does not go together; empty: everything does."""
    if form.like and "file_size" in form.model_fields_set:
        return "file-size and like: one of them is wanted"
    return spec.wrong()


def dealt(loads: Sequence[PlacedLoad], consumers: int) -> list[LoadSpec]:
    """The loads of so many consumers, dealt in turn; a second one of a load has a name of its own.

    Args:
        loads: one at least.
        consumers: so many; 0: as many as there are loads.
    """
    specs = []
    for number in range(consumers or len(loads)):
        spec = loads[number % len(loads)].spec
        times = number // len(loads)
        specs.append(replace(spec, name=f"{spec.name}-{times + 1}") if times else spec)
    return specs


class _Reader:
    def __init__(self, file: str, settings: Mapping[str, Any]) -> None:
        self._file = file
        self._settings = settings

    def read(self, node: yaml.Node) -> list[PlacedLoad]:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            raise self._error(node, "loads: a list with at least one load is wanted")
        found: list[PlacedLoad] = []
        for number, each in enumerate(node.value, 1):
            placed = self._load(each, f"load-{number}")
            for other in found:
                if other.spec.name == placed.spec.name:
                    text = f"{placed.spec.name} is the name of two loads ({other.origin})"
                    raise self._error(each, text)
            found.append(placed)
        return found

    def _load(self, node: yaml.Node, name: str) -> PlacedLoad:
        if not isinstance(node, yaml.MappingNode):
            raise self._error(node, "loads: each load is a map of keys and values")
        self._check_keys(node)
        loader = yaml.SafeLoader("")
        loader.flatten_mapping(node)
        value = loader.construct_document(node)
        given = {key.replace("-", "_"): each for key, each in value.items()} | dict(self._settings)
        try:
            form = _Form.model_validate(given)
        except ValidationError as error:
            raise self._wrong(node, given, error) from error
        spec = _build(form, name)
        wrong = _unfit(form, spec)
        if wrong:
            raise self._error(node, f"{spec.name}: {wrong}")
        return PlacedLoad(spec, self._origin(node))

    def _check_keys(self, node: yaml.MappingNode) -> None:
        seen: dict[str, int] = {}
        for key_node, _ in node.value:
            key = str(key_node.value)
            name = key.replace("-", "_")
            if key == "<<" or key_node.start_mark.index < node.start_mark.index:
                continue  # of a map that is merged in, which is YAML's own way: see there
            if name not in KEYS:
                known = [each.replace("_", "-") for each in KEYS]
                raise self._error(
                    key_node, f"unknown key {key}{advice(name.replace('_', '-'), known)}"
                )
            if name in seen:
                raise self._error(key_node, f"{key} is there twice, first in line {seen[name]}")
            seen[name] = line_of(key_node)

    def _wrong(self, node: yaml.Node, given: Any, error: ValidationError) -> WrongUseError:
        first = error.errors(include_url=False, include_input=False)[0]
        key = str(first["loc"][0])
        if key not in KEYS:
            return self._error(node, f"unknown key {key}")
        shown = key.replace("_", "-")
        accepted = _Form.model_fields[key].description or ""
        if first["type"] == "missing":
            return self._error(node, f"{shown} is missing; accepted: {accepted}")
        return self._error(node_at(node, (key,)), not_accepted(shown, given[key], accepted))

    def _error(self, node: yaml.Node, text: str) -> WrongUseError:
        return WrongUseError(reason=f"{self._origin(node)}: {text}")

    def _origin(self, node: yaml.Node) -> str:
        return f"{self._file}, line {line_of(node)}"


def _build(form: _Form, name: str) -> LoadSpec:
    same = {
        key: getattr(form, key)
        for key in (
            "target", "files", "read_percent", "direct", "rate", "bandwidth", "ramp", "verify",
            "duplicates", "like", "like_max", "count",
        )
    }  # fmt: skip
    return LoadSpec(
        **same,
        name=form.name or name,
        work=Work(form.work),
        order=Order(form.order),
        sync=Sync(form.sync),
        file_size=_sizes(form.file_size) if isinstance(form.file_size, str) else form.file_size,
        block=_block(form.block) if isinstance(form.block, str) else form.block,
        keep=form.keep,
        zeros=form.compressible,
        metadata=_weights(form.metadata) if isinstance(form.metadata, dict) else form.metadata,
    )
