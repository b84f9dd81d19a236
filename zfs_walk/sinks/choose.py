"""Which class a URL's sink has: by its scheme, among ours and those of other packages."""

import difflib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Final

from zfs_walk.errors import MissingExtraError, WrongUseError
from zfs_walk.sinks.interface import Sink

if TYPE_CHECKING:
    from pydantic import ValidationError

GROUP: Final = "zfs_walk.sinks"
"""Entry points: their name is the scheme, their object the class."""


def schemes() -> list[str]:
    """Those for which a sink is installed, sorted."""
    return sorted(entry_points(group=GROUP).names)


def open_sink(url: str, options: Mapping[str, Any]) -> Sink:
    """Make the sink of a URL; nothing is connected yet.

    Args:
        url: ``scheme://...``
        options: as a mapping has them.

    Raises:
        WrongUseError: there is no such sink, or the options are none of its; its field ``keys`` has
            the options that are wrong.
        MissingExtraError: it needs packages that are not installed.
    """
    scheme, separator, _ = url.partition("://")
    if not separator:
        # Not the text itself: it may have a password in it.
        reason = f"that is no URL of a sink: it begins with one of {_shown()}"
        raise WrongUseError(reason=reason)
    sink = sink_class(scheme)
    return sink(url, read_options(sink, scheme, options))


def sink_class(scheme: str) -> type[Sink]:
    """The class for a scheme.

    Raises:
        WrongUseError: there is none, or more than one.
        MissingExtraError: it needs packages that are not installed.
    """
    # A package that is found twice on the path is no other one.
    found = {entry.value: entry for entry in entry_points(group=GROUP, name=scheme)}
    if not found:
        reason = f"there is no sink for {scheme}://: a URL begins with one of {_shown()}"
        raise WrongUseError(reason=reason)
    if len(found) > 1:
        reason = f"several packages have a sink for {scheme}://: {', '.join(sorted(found))}"
        raise WrongUseError(reason=f"{reason}; uninstall one")
    [entry] = found.values()
    return _load(scheme, entry)


def _load(scheme: str, entry: EntryPoint) -> type[Sink]:
    try:
        loaded: type[Sink] = entry.load()
    except (ImportError, AttributeError) as error:
        if entry.module.startswith("zfs_walk."):
            package = getattr(error, "name", None) or str(error)
            feature = f"Sending to {scheme}://"
            raise MissingExtraError(feature=feature, package=package, extra=scheme) from error
        reason = f"the sink for {scheme}:// ({entry.value}) can't be loaded: {error}"
        raise WrongUseError(reason=reason) from error
    return loaded


def read_options(sink: type[Sink], scheme: str, options: Mapping[str, Any]) -> Any:
    """The options of a mapping as its sink takes them: an instance of ``sink.Options``.

    Raises:
        WrongUseError: as `open_sink`.
    """
    from pydantic import ValidationError  # noqa: PLC0415 -- heavy

    try:
        return sink.Options.model_validate(dict(options))
    except ValidationError as error:
        reasons = "; ".join(_explanations(sink, scheme, error))
        keys = tuple(str(found["loc"][0]) for found in error.errors() if found["loc"])
        raise WrongUseError(reason=reasons, keys=keys) from None


def _explanations(sink: type[Sink], scheme: str, error: "ValidationError") -> list[str]:
    """What is wrong, without the values: one of them may be a secret in the wrong place."""
    fields = sink.Options.model_fields
    explained = []
    for found in error.errors(include_input=False, include_url=False):
        key = ".".join(map(str, found["loc"]))
        if found["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key, fields, 1)
            hint = f"do you mean `{near[0]}`?" if near else f"there are {_listed(fields)}"
            explained.append(f"{scheme}:// has no option `{key}`: {hint}")
        else:
            explained.append(f"{scheme}://, option `{key}`: {found['msg']}")
    return explained


def _shown() -> str:
    return ", ".join(f"{scheme}://" for scheme in schemes())


def _listed(fields: Mapping[str, object]) -> str:
    return ", ".join(f"`{name}`" for name in fields)
