"""``python -m zfs_walk walk|broker|agent|ctl|catalog ...`` does the same as the commands."""

import importlib
import sys

from zfs_walk.cli import COMMANDS


def run() -> None:
    """Run the command that the first argument names."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in COMMANDS:
        sys.exit(f"usage: python -m zfs_walk {'|'.join(COMMANDS)} ...")
    del sys.argv[1]
    importlib.import_module(f"zfs_walk.cli.{name}").run()


if __name__ == "__main__":
    run()
