"""Trees for tests, made fast."""

import os
from pathlib import Path


def wide(folder: Path, directories: int, files: int = 0) -> Path:
    """Directories side by side, each with some empty files."""
    folder.mkdir()
    for number in range(directories):
        below = folder / f"d{number:06}"
        below.mkdir()
        touch(below, files)
    return folder


def bushy(folder: Path, width: int, depth: int, files: int) -> Path:
    """``width`` directories in each directory, ``depth`` levels of them, files in each."""
    folder.mkdir()
    touch(folder, files)
    if depth:
        for number in range(width):
            bushy(folder / f"d{number}", width, depth - 1, files)
    return folder


def touch(folder: Path, files: int) -> None:
    """Empty files with short names."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        for number in range(files):
            os.close(os.open(f"f{number:06}", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=opened))
    finally:
        os.close(opened)


def chain(folder: Path, depth: int) -> Path:
    """Folders inside one another, deeper than a path may be long; each has a file."""
    folder.mkdir()
    above = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=above)
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=above))
        below = os.open("d", os.O_RDONLY, dir_fd=above)
        os.close(above)
        above = below
    os.close(above)
    return folder
