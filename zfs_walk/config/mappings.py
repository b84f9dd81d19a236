"""The mappings of an uploader, as YAML has them.

What is wrong is named with its file, line and key, and with what would be accepted.
"""

import os
import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from zfs_walk.config.files import advice
from zfs_walk.config.names import NAME_FORM, NAME_PATTERN
from zfs_walk.config.nodes import line_of, node_at
from zfs_walk.config.rates import RATE_FORM, parse_rate
from zfs_walk.config.values import not_accepted
from zfs_walk.errors import WrongUseError
from zfs_walk.mirror.mapping import Mapping, Symlinks
from zfs_walk.mirror.pace import WINDOW_FORM, parse_window

_DEFAULT: Final = Mapping("", b"", "")
_SECRET: Final = re.compile(r"://[^/@]*:[^/@]*@")
_FOREVER: Final = 1e9


class Placed(NamedTuple):
    """A mapping, and the file and line where it begins."""

    mapping: Mapping
    origin: str

    def wrong(self, error: WrongUseError) -> WrongUseError:
        """What is wrong with it, and where it stands."""
        return WrongUseError(reason=f"{self.origin}: {error.fields['reason']}")


def _window(text: str) -> str:
    parse_window(text)
    return text


def _path(given: Any) -> str:
    if not isinstance(given, str) or not given or "\0" in given:
        raise ValueError(given)
    return given


def _part(text: str) -> str:
    """What is below a root, and can't lead out of it."""
    if text.startswith("/") or ".." in text.split("/") or "\0" in text:
        raise ValueError(text)
    return text.strip("/")


def _rate(given: Any) -> Any:
    return parse_rate(given) if isinstance(given, str) else given


_Flag = Annotated[bool, Field(description="true or false")]
_Texts = Annotated[list[str], Field(description="a list, each text")]
# Not str: pydantic takes none that stands for bytes that are no UTF-8.
_Path = Annotated[Any, AfterValidator(_path), Field(description="the path of a folder")]
_Part = Annotated[
    str, AfterValidator(_part), Field(description="a path without '/' in front and without '..'")
]
_Url = Annotated[str | None, Field(
    pattern=r"^[a-z][a-z0-9+.-]*://.",
    description="a URL such as s3://BUCKET/PREFIX, sftp://USER@HOST/PATH or file:///PATH",
)]  # fmt: skip


def _seconds(least: float, text: str) -> Any:
    return Field(ge=least, le=_FOREVER, description=f"{text}, at least {least:g}")


class _Form(BaseModel):
    """The keys of a mapping; each one's description says what it accepts."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(pattern=f"^{NAME_PATTERN}$", description=NAME_FORM)]
    local: _Path = None
    to: _Url = None
    local_root: _Path = None
    local_dir: _Part = ""
    remote_root: _Url = None
    remote_dir: _Part = ""
    options: Annotated[
        dict[str, Any], Field(description="a map, keys and values as the sink has them")
    ] = {}
    complete_sync: _Flag = _DEFAULT.complete_sync
    symlinks: Annotated[
        Literal["skip", "follow", "record"], Field(description="skip or follow or record")
    ] = _DEFAULT.symlinks.value
    transfers: Annotated[
        int, Field(ge=1, le=256, description="a whole number, at least 1, at most 256")
    ] = _DEFAULT.transfers
    order: Annotated[Literal["oldest", "smallest"], Field(description="oldest or smallest")] = (
        "oldest"
    )
    include: _Texts = []
    exclude: _Texts = []
    poll: Annotated[float, _seconds(0, "seconds")] = _DEFAULT.poll
    settle: Annotated[float, Field(ge=0, le=60_000, description="milliseconds, at most 60,000")] = (
        _DEFAULT.settle * 1000
    )
    monitor: Annotated[
        Literal["auto", "fanotify", "watchdog", "poll"],
        Field(description="auto or fanotify or watchdog or poll"),
    ] = "auto"
    rescan: Annotated[float, _seconds(0, "seconds")] = _DEFAULT.rescan
    guard_files: Annotated[int, Field(ge=0, le=2**53, description="a whole number, at least 0")] = (
        _DEFAULT.guard_files
    )
    guard_percent: Annotated[
        float, Field(ge=0, le=100, description="a number, at least 0, at most 100")
    ] = _DEFAULT.guard_percent
    tries: Annotated[int, Field(ge=1, le=1_000_000, description="a whole number, at least 1")] = (
        _DEFAULT.tries
    )
    bwlimit: Annotated[
        int, BeforeValidator(_rate), Field(ge=0, le=2**53, description=RATE_FORM)
    ] = _DEFAULT.bwlimit
    windows: Annotated[
        list[Annotated[str, AfterValidator(_window)]],
        Field(description=f"a list, each {WINDOW_FORM}"),
    ] = []


KEYS: Final = tuple(_Form.model_fields)
"""Of a mapping."""


def default_of(key: str) -> Any:
    """What a key of a mapping is when it is left out, as YAML has it; None: there is nothing."""
    field = _Form.model_fields[key]
    return None if field.is_required() else field.get_default(call_default_factory=True)


def check_value(key: str, value: Any) -> None:
    """See that a key of a mapping takes a value.

    Raises:
        ValueError: it does not; the text says what it does take, and not what was given.
    """
    try:
        _Form.model_validate({"name": "a", key: value})
    except ValidationError:
        message = f"wanted: {_Form.model_fields[key].description}"
        raise ValueError(message) from None


def read_mappings(node: yaml.Node, file: str) -> list[Placed]:
    """The mappings of a list in YAML.

    Args:
        node: the list.
        file: names it in messages.

    Raises:
        WrongUseError: something is wrong with them.
    """
    return _Reader(file).read(node)


def compose(text: str, file: str) -> yaml.Node:
    """A text's YAML.

    Raises:
        WrongUseError: it is none.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise WrongUseError(reason=f"{file}: it is not YAML: {error}") from error
    if node is None:
        raise WrongUseError(reason=f"{file}: there is nothing in it")
    return node


class _Reader:
    def __init__(self, file: str) -> None:
        self._file = file

    def read(self, node: yaml.Node) -> list[Placed]:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            raise self._error(node, "mappings: a list with at least one mapping is wanted")
        found: list[Placed] = []
        for each in node.value:
            placed = self._mapping(each)
            self._compare(each, placed, found)
            found.append(placed)
        return found

    def _mapping(self, node: yaml.Node) -> Placed:
        if not isinstance(node, yaml.MappingNode):
            raise self._error(node, "mappings: each mapping is a map of keys and values")
        self._check_keys(node)
        value = yaml.constructor.SafeConstructor().construct_document(node)
        given = {key.replace("-", "_"): each for key, each in value.items()}
        try:
            form = _Form.model_validate(given)
        except ValidationError as error:
            raise self._wrong(node, given, error) from error
        return Placed(self._build(node, form), self._origin(node))

    def _check_keys(self, node: yaml.MappingNode) -> None:
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            name = key.replace("-", "_")
            if name not in KEYS:
                raise self._error(key_node, f"unknown key {key}{advice(name, KEYS)}")
            if name in seen:
                raise self._error(key_node, f"{key} is there twice, first in line {seen[name]}")
            seen[name] = line_of(key_node)
            if name == "options" and isinstance(value_node, yaml.MappingNode):
                self._check_options(value_node)

    def _check_options(self, node: yaml.MappingNode) -> None:
        seen: dict[str, int] = {}
        for key_node, _ in node.value:
            key = str(key_node.value)
            if key in seen:
                first = seen[key]
                raise self._error(key_node, f"options.{key} is there twice, first in line {first}")
            seen[key] = line_of(key_node)

    def _build(self, node: yaml.MappingNode, form: _Form) -> Mapping:
        local, url = self._sides(node, form)
        same = {
            name: getattr(form, name)
            for name in (
                "name", "options", "complete_sync", "transfers", "order", "poll", "monitor",
                "rescan", "guard_files", "guard_percent", "tries", "bwlimit",
            )
        }  # fmt: skip
        return Mapping(
            **same,
            local=os.fsencode(os.path.abspath(local)),  # noqa: PTH100 -- Path keeps '..'
            url=url,
            symlinks=Symlinks(form.symlinks),
            includes=tuple(form.include),
            excludes=tuple(form.exclude),
            settle=form.settle / 1000,
            windows=tuple(form.windows),
        )

    def _sides(self, node: yaml.MappingNode, form: _Form) -> tuple[str, str]:
        """Local path and URL, of either form; ``_dir`` goes below ``_root``."""
        if (form.local is None) == (form.local_root is None):
            raise self._error(node, f"{form.name}: local is wanted, or local_root and local_dir")
        if (form.to is None) == (form.remote_root is None):
            raise self._error(node, f"{form.name}: to is wanted, or remote_root and remote_dir")
        local = form.local or f"{form.local_root}/{form.local_dir}"
        url = form.to or f"{str(form.remote_root).rstrip('/')}/{form.remote_dir}".rstrip("/")
        if form.local is not None and form.local_dir:
            raise self._error(node, f"{form.name}: local_dir goes with local_root, not with local")
        if form.to is not None and form.remote_dir:
            raise self._error(node, f"{form.name}: remote_dir goes with remote_root, not with to")
        if _SECRET.search(url):
            reason = "a URL has no password: it would be in logs and lists (docs/uploader.md)"
            raise self._error(node, f"{form.name}: {reason}")
        return local, url

    def _compare(self, node: yaml.Node, placed: Placed, others: Sequence[Placed]) -> None:
        """Two mappings with one name, or into one place, would undo each other's work."""
        own = placed.mapping
        for other, origin in others:
            if other.name == own.name:
                raise self._error(node, f"{own.name} is the name of two mappings ({origin})")
            if _overlap(own.url, other.url):
                raise self._error(
                    node, f"{own.name}: {own.url} and {other.url} ({origin}) overlap: a mapping"
                    " needs a place of its own"
                )  # fmt: skip

    def _wrong(self, node: yaml.MappingNode, given: Any, error: ValidationError) -> WrongUseError:
        first = error.errors(include_url=False, include_input=False)[0]
        where = first["loc"]
        if first["type"] == "missing":
            return self._error(node, f"{where[0]} is missing; accepted: {NAME_FORM}")
        key = ".".join(map(str, where))
        value: Any = given
        for part in where:
            value = value[part]
        accepted = _Form.model_fields[str(where[0])].description or ""
        return self._error(node_at(node, where), not_accepted(key, value, accepted))

    def _error(self, node: yaml.Node, text: str) -> WrongUseError:
        return WrongUseError(reason=f"{self._origin(node)}: {text}")

    def _origin(self, node: yaml.Node) -> str:
        return f"{self._file}, line {line_of(node)}"


def _overlap(one: str, other: str) -> bool:
    short, long = sorted((one.rstrip("/") + "/", other.rstrip("/") + "/"), key=len)
    return long.startswith(short)
