"""The packages of the extra ``[catalog]``: imported when a function needs them, never before."""

import importlib
from typing import Any

from zfs_walk.errors import MissingExtraError


def require(module: str, feature: str) -> Any:
    """Import ``module`` for ``feature``, the subject of the message when it is missing.

    Raises:
        MissingExtraError: its package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingExtraError(feature=feature, package=package, extra="catalog") from error
