"""``zfs-ctl``: operates a bus. Its nouns and verbs are modules of their own, registered here."""

import click

from zfs_walk.cli.asking import EXIT_CODES
from zfs_walk.cli.command import run_command, version_option
from zfs_walk.cli.ctl_agents import agent_group
from zfs_walk.cli.ctl_config import config_group
from zfs_walk.cli.ctl_doctor import doctor
from zfs_walk.cli.ctl_files import claims, files
from zfs_walk.cli.ctl_keys import key_group
from zfs_walk.cli.ctl_load import load_group
from zfs_walk.cli.ctl_logs import log_group
from zfs_walk.cli.ctl_runs import run_group
from zfs_walk.cli.ctl_status import status
from zfs_walk.cli.ctl_upload import upload_group
from zfs_walk.cli.tail import tail
from zfs_walk.cli.top import top

EXAMPLES = """Examples:

\b
  zfs-ctl status
  zfs-ctl run list --json
  zfs-ctl agent resize walker-1 8"""


@click.group(epilog=EXAMPLES + EXIT_CODES)
@version_option
def main() -> None:
    """Operate a bus: its runs, load runs, agents, files, logs and keys."""


main.add_command(run_group)
main.add_command(agent_group)
main.add_command(upload_group)
main.add_command(load_group)
main.add_command(key_group)
main.add_command(config_group)
main.add_command(files)
main.add_command(claims)
main.add_command(status)
main.add_command(top)
main.add_command(doctor)
main.add_command(log_group)
main.add_command(tail)


def run() -> None:
    """Console entry point."""
    run_command(main, "zfs-ctl")


if __name__ == "__main__":
    run()
