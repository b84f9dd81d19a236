"""What GNU find says about a tree, and what a catalog holds: compared, never derived."""

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyarrow import parquet

FIND = shutil.which("find") or "find"
TYPES = {b"d": "directories", b"f": "files", b"l": "symlinks"}


def find(*arguments: str | Path, cwd: Path | None = None) -> bytes:
    """The output of find; what it can't read is its affair."""
    return subprocess.run(
        [FIND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        check=False, cwd=cwd,
    ).stdout  # fmt: skip


def totals(*roots: str | Path, options: Sequence[str] = ()) -> dict[str, int]:
    """Entries by type, size and allocated bytes."""
    counts = Counter[str](entries=0, directories=0, files=0, symlinks=0, other=0)
    counts |= Counter(size=0, allocated=0)
    for line in find(*roots, *options, "-printf", "%y %s %b\n").splitlines():
        kind, size, blocks = line.split()
        counts["entries"] += 1
        counts[TYPES.get(kind, "other")] += 1
        counts["size"] += int(size)
        counts["allocated"] += 512 * int(blocks)
    return {key: counts[key] for key in (*TYPES.values(), "entries", "other", "size", "allocated")}


def paths(*roots: str | Path, options: Sequence[str] = ()) -> list[bytes]:
    """Every path, sorted."""
    return sorted(find(*roots, *options, "-print0").split(b"\0")[:-1])


def catalog_paths(catalog: Path) -> list[bytes]:
    """Every path of the segments that a catalog's manifest names, sorted, repeats included."""
    found = []
    manifest = json.loads((catalog / "manifest.json").read_bytes())
    for segment in manifest["segments"]:
        if segment["kind"] != "files":
            continue
        table = parquet.read_table(
            catalog / "segments" / segment["name"],
            columns=["dir", "dir_raw", "name", "name_raw"],
        )
        columns = (table[name].to_pylist() for name in ("dir", "dir_raw", "name", "name_raw"))
        for folder, folder_raw, name, name_raw in zip(*columns, strict=True):
            above = folder_raw if folder_raw is not None else folder.encode()
            below = name_raw if name_raw is not None else name.encode()
            found.append(above.rstrip(b"/") + b"/" + below if below else above)
    assert {path.name for path in (catalog / "segments").iterdir()} == {
        segment["name"] for segment in manifest["segments"]
    }, "files that no manifest names"
    return sorted(found)


def same_totals(result: dict[str, Any], expected: dict[str, int]) -> None:
    """Compare the JSON of a walk with what find counted."""
    assert {key: result[key] for key in expected} == expected
