"""What find and sha256sum say of two trees: the oracle of everything that mirrors."""

import shutil
import subprocess
from pathlib import Path

from tests.process.oracle import find

SUM = shutil.which("sha256sum") or "sha256sum"
XARGS = shutil.which("xargs") or "xargs"
SHOWN = 10
"""Differences that a failed comparison shows."""


def tree(folder: Path) -> dict[bytes, str]:
    """Every file by its name below a folder: its size and SHA-256; of a link where it leads.

    What goes while it is looked at is not there.
    """
    listed = find(".", "(", "-type", "f", "-printf", r"%P\0%s\0", ")", cwd=folder).split(b"\0")[:-1]
    sizes = dict(zip(listed[::2], listed[1::2], strict=True))
    names = b"".join(b"./" + name + b"\0" for name in sizes)
    summed = subprocess.run(
        [XARGS, "-0", "-r", SUM, "-z", "--"],
        input=names, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder, check=False,
    ).stdout  # fmt: skip
    found = {}
    for line in summed.split(b"\0")[:-1]:
        sha, name = line.split(b"  ./", 1)
        found[name] = f"{sizes[name].decode()} bytes, {sha.decode()}"
    links = find(".", "-type", "l", "-printf", r"%P\0%l\0", cwd=folder).split(b"\0")[:-1]
    for name, target in zip(links[::2], links[1::2], strict=True):
        found[name] = f"link to {target!r}"
    return found


def differences(here: Path, there: Path) -> list[str]:
    """What there is in one of two trees, or differs; empty: they are equal."""
    return different(tree(here), tree(there))


def different(one: dict[bytes, str], two: dict[bytes, str]) -> list[str]:
    """As `differences`, of two that were looked at by `tree`."""
    names = sorted(name for name in one.keys() | two.keys() if one.get(name) != two.get(name))
    told = [f"{name!r}: {one.get(name, 'none')} / {two.get(name, 'none')}" for name in names]
    return told[:SHOWN] + ([f"and {len(told) - SHOWN} more"] if len(told) > SHOWN else [])
