"""Secrets that the user's keyring keeps, so that no file of ours has them."""

from importlib.util import find_spec
from threading import Lock
from typing import Annotated, Final

from pydantic import StringConstraints

from zfs_walk.errors import MissingExtraError
from zfs_walk.sinks.errors import SinkRefusedError

Reference = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f]+/[^/\x00-\x1f]+$")]
"""SERVICE/USER; the last slash divides."""

# Keyrings are not made for several threads.
_lock: Final = Lock()


def need_keyring(option: str) -> None:
    """See that the library is there, which is imported only when a secret is wanted.

    Args:
        option: that has a reference.

    Raises:
        MissingExtraError: it is not installed.
    """
    if find_spec("keyring") is None:
        raise MissingExtraError(feature=f"The option {option}", package="keyring", extra="keyring")


def secret_of(reference: str, option: str, place: str) -> str:
    """The secret, as the keyring has it now.

    Args:
        reference: SERVICE/USER.
        option: that has it, for what goes wrong.
        place: where the secret is to let us in, for the same.

    Raises:
        SinkRefusedError: there is none, or the keyring can't be read.
    """
    import keyring  # noqa: PLC0415 -- an extra

    service, _, user = reference.rpartition("/")
    try:
        with _lock:
            found = keyring.get_password(service, user)
    except Exception as error:  # a backend may raise whatever it likes
        # Its text could quote what it has read.
        reason = f"{option}: the keyring can't be read ({type(error).__name__}); `keyring diagnose`"
        raise SinkRefusedError(place=place, reason=f"{reason} shows which one is used") from error
    if found is None:
        reason = f"{option}: the keyring has no {reference}; `keyring set {service} {user}` adds it"
        raise SinkRefusedError(place=place, reason=reason)
    return found
