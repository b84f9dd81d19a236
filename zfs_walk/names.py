"""Names are bytes; here they become text, and the bytes stay only where the text loses something.

In a catalog and in every JSON, text is UTF-8 with U+FFFD where the bytes are not valid; then, and
only then, the bytes themselves stand beside it.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping


def text(raw: bytes) -> tuple[str, bytes | None]:
    """Return ``raw`` as text, and its bytes if the text is not exactly them, else None."""
    decoded = raw.decode("utf-8", "replace")
    return decoded, None if decoded.encode() == raw else raw


def split(path: bytes) -> tuple[bytes, bytes]:
    """Split an absolute path into (dir, name) as the catalog stores it; ``/`` is (``/``, empty)."""
    folder, _, name = path.rpartition(b"/")
    return folder or b"/", name


def to_json(raw: bytes, key: str = "path") -> dict[str, str]:
    """Return the JSON keys of a path or name: ``key``, and ``<key>_b64`` if it is not UTF-8."""
    decoded, lost = text(raw)
    return {key: decoded} | ({} if lost is None else {f"{key}_b64": b64encode(lost).decode()})


def from_json(item: Mapping[str, object]) -> bytes:
    """Return the bytes of a path from the keys that `to_json` made.

    Raises:
        KeyError: no ``path`` in it.
        ValueError: ``path_b64`` is not base64.
    """
    encoded = item.get("path_b64")
    return str(item["path"]).encode() if encoded is None else b64decode(str(encoded), validate=True)
