"""A tree that is sent, and what find and sha256sum say of both sides."""

import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.process.oracle import find

SHA = shutil.which("sha256sum") or "sha256sum"
XARGS = shutil.which("xargs") or "xargs"


def load(folder: Path) -> Path:
    """Some 700 files: small ones, empty ones, 80 of 400 kB in one directory, two large ones."""
    rng = random.Random(7)
    folder.mkdir()
    for number in range(40):
        below = folder / f"d{number % 5}" / f"e{number}"
        below.mkdir(parents=True)
        for file in range(15):
            (below / f"f{file}").write_bytes(rng.randbytes(rng.choice((0, 1, 900, 20_000))))
    (folder / "wide").mkdir()
    for number in range(80):
        (folder / "wide" / f"w{number}").write_bytes(rng.randbytes(400_000))
    for name in ("large", "d0/large"):
        (folder / name).write_bytes(rng.randbytes(17 << 20))
    (folder / "name\nwith 'quotes' \xe4").write_bytes(b"x")
    (folder / "link").symlink_to("large")
    return folder


def names(folder: Path, form: str = "%P\\t%s\\n") -> list[bytes]:
    """What find prints of each regular file, sorted."""
    return sorted(find(folder, "-type", "f", "-printf", form.replace("\\n", "\\0")).split(b"\0"))


def sums(folder: Path) -> bytes:
    """The checksum of each regular file."""
    listed = find(".", "-type", "f", "-print0", cwd=folder)
    sorted_names = b"\0".join(sorted(listed.split(b"\0")[:-1])) + b"\0"
    return subprocess.run(
        [XARGS, "-0", SHA], input=sorted_names, stdout=subprocess.PIPE, check=True, cwd=folder
    ).stdout


def both(folder: Path) -> dict[str, int]:
    """Files and their bytes, by find; half-sent ones are none."""
    whole = ("-type", "f", "!", "-name", ".zfs-walk.*.part")
    sizes = [int(size) for size in find(folder, *whole, "-printf", "%s\n").split()]
    return {"files": len(sizes), "bytes": sum(sizes)}


def is_there(report: Any, data: Path, copy: Path) -> None:
    """Both sides are the same, and the totals of the command are those of both."""
    assert names(data) == names(copy)
    assert sums(data) == sums(copy)
    told = report["sending"]
    assert told["there"] == both(data) == both(copy)
    assert (told["refused"], told["unsent"], told["gone"]) == ({"files": 0},) * 3
    assert report["files"] == both(data)["files"]
