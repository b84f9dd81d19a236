"""``zfs-agent``: what runs on a host."""

import os
from typing import Any, Final

import click
from click.core import ParameterSource

from zfs_walk.cli.command import (
    CONFIG,
    PREFIX,
    SECONDS,
    broker_option_from,
    run_command,
    shared,
    take_defaults,
)
from zfs_walk.cli.load_options import load_options
from zfs_walk.cli.logs import begin_logging, log_options
from zfs_walk.cli.option_types import AgentName, Mappings, Rate
from zfs_walk.errors import WrongUseError

WALKER: Final = "walker"
SCOUT: Final = "scout"
UPLOADER: Final = "uploader"
LOADGEN: Final = "loadgen"
"""The roles' names in `zfs_walk.protocol.messages`, which --help need not wait for."""

OF_ROLE: Final = {
    WALKER: ("workers", "dir_timeout"),
    SCOUT: ("watch", "poll", "settle", "monitor", "no_recursive", "hidden", "include", "exclude"),
    UPLOADER: ("mappings", "only", "once", "confirm", "retry", "take_over", "bwlimit", "notify"),
    LOADGEN: (
        "loads", "target", "like", "set_", "rate", "bandwidth", "consumers", "duration", "max_fill",
        "seed", "heartbeat", "sample", "grace", "report", "witness",
    ),
}  # fmt: skip
"""Options that one role alone has."""

WATCH_VARIABLES: Final = (f"{PREFIX}_WATCH", "MONITOR_DIR")
BROKER_VARIABLES: Final = (f"{PREFIX}_BROKER", "SCOUT_MASTER_ADDRESS")
"""The second ones are those of deployments of scout and scoutmaster, which go on as they are."""


class AgentCommand(click.Command):
    """An uploader that is not told what to mirror takes its usual file."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; then once more, if that file is there, with its defaults."""
        again = list(args)
        rest = super().parse_args(ctx, args)
        untold = ctx.params.get("mappings") is None and CONFIG not in ctx.meta
        if ctx.params.get("role") != UPLOADER or not untold or ctx.resilient_parsing:
            return rest
        from zfs_walk.config.places import uploader_files  # noqa: PLC0415 -- of this role only

        file = next(filter(os.path.exists, uploader_files()), None)
        if file is None:
            return rest
        take_defaults(ctx, str(file))
        ctx.params.clear()
        return super().parse_args(ctx, again)


@click.command(
    cls=AgentCommand,
    epilog="""Examples:

\b
  zfs-agent --role walker
  zfs-agent --role walker --broker tcp://127.0.0.1:5570 --workers 8 --wait
  zfs-agent --role scout --watch /data --watch /scratch --exclude '*.tmp'
  zfs-agent --role uploader
  zfs-agent --role uploader --config /etc/zfs_walk/uploader.yaml
  zfs-agent --role loadgen --target /scratch --duration 30 --consumers 4 --report load.html
  zfs-agent --role loadgen --config loadgen.yaml
  zfs-agent --role loadgen --allow /scratch

Without --config and --mappings an uploader reads ~/.config/zfs_walk/uploader.yaml, which `zfs-ctl
config wizard uploader` writes; root's then /etc/zfs_walk/uploader.yaml.

The first SIGTERM or Ctrl-C gives all work and all folders back, stops transfers, and ends; a second
one ends at once (the broker grants the work anew, transfers are gone on with at the next start).

A load generator ends after its run, with its report on stdout; SIGTERM ends the run early. One
with neither --target nor `loads:` stands by for `zfs-ctl load start`, below the folders of --allow.

Exit codes: 0 drained, 1 a load test with errors, 2 wrong use or refused, 4 no broker, 5 another
protocol version, 6 the state folder can't be used, 7 the queue can't be written, 9 a catalog can't
be read, 10 a package is missing, 13 workers can't live, 14 no usable key, 16 a load test found
wrong bytes.""",
)
@click.option("--role", type=click.Choice([WALKER, SCOUT, UPLOADER, LOADGEN]), required=True,
              help="What this agent does.")  # fmt: skip
@broker_option_from(BROKER_VARIABLES)
@click.option(
    "--allow", multiple=True, metavar="DIR", default=("/",), show_default=True,
    help="Walk, watch, load, and write catalogs, only below this folder; may be given several"
    " times.",
)  # fmt: skip
@click.option("--name", type=AgentName(), metavar="NAME",
              help="Unique on this host; default: the role and a free number.")  # fmt: skip
@click.option("--host", metavar="NAME", help="This host's name, if not the system's.")
@click.option("--state", metavar="DIR", type=click.Path(),
              help="Folder for locks and temporary files.")  # fmt: skip
@click.option("--wait", is_flag=True, help="Wait for a broker that is not there, for ever.")
@click.option("--timeout", type=SECONDS, default=10.0, show_default=True,
              help="Seconds to wait for a broker.")  # fmt: skip
@click.option(
    "--workers", type=click.IntRange(1, 1024), default=os.cpu_count() or 1,
    help="walker: worker processes; default: one per core.",
)  # fmt: skip
@click.option("--dir-timeout", type=SECONDS, default=300.0, show_default=True,
              help="walker: seconds that one directory may take.")  # fmt: skip
@click.option("--watch", multiple=True, metavar="DIR", type=click.Path(readable=False),
              envvar=WATCH_VARIABLES,
              help="scout: watch this folder; may be given several times.")  # fmt: skip
@click.option("--poll", type=click.FloatRange(0.0, 1e9), default=30.0, show_default=True,
              help="scout: seconds between two full comparisons; 0: never.")  # fmt: skip
@click.option("--settle", type=click.FloatRange(0.0, 60_000.0), default=20.0, show_default=True,
              help="scout: milliseconds in which the events of a burst become one.")  # fmt: skip
@click.option("--monitor", type=click.Choice(["auto", "fanotify", "watchdog", "poll"]),
              default="auto", show_default=True,
              help="scout: who tells what happens; auto takes the best that there is.")  # fmt: skip
@click.option("--no-recursive", is_flag=True, help="scout: the folder itself only, none below it.")
@click.option("--hidden", is_flag=True, help="scout: list names that begin with a dot, too.")
@click.option("--exclude", multiple=True, metavar="GLOB",
              help="scout: leave out what matches and all below, as zfs-walk does.")  # fmt: skip
@click.option("--include", multiple=True, metavar="GLOB",
              help="scout: exceptions to the excludes.")  # fmt: skip
@click.option("--mappings", metavar="YAML", type=Mappings(),
              help="uploader: what is mirrored where, a list; meant for the file of --config"
              " (docs/uploader.md).")  # fmt: skip
@click.option("--only", multiple=True, metavar="NAME",
              help="uploader: run this mapping only; may be given several times.")  # fmt: skip
@click.option("--once", is_flag=True,
              help="uploader: end when both sides are the same, or after --timeout when they can't"
              " be made so.")  # fmt: skip
@click.option("--confirm", multiple=True, metavar="NAME",
              help="uploader: let the deletions of this mapping go that wait for somebody;"
              " may be given several times.")  # fmt: skip
@click.option("--retry", multiple=True, metavar="NAME",
              help="uploader: try again what this mapping has set aside; may be given several"
              " times.")  # fmt: skip
@click.option("--take-over", nargs=2, multiple=True, metavar="NAME QUEUE",
              help="uploader: queue what an older uploader has left in its persist-queue UniqueQ"
              " (its folder or file), for this mapping; may be given several times.")  # fmt: skip
@click.option("--notify", metavar="URL", default="",
              help="uploader: tell this database what becomes of uploads: sqlite:////FILE,"
              " postgresql://HOST/NAME, or `file` for one in the state folder"
              " (docs/notify.md).")  # fmt: skip
@click.option("--bwlimit", metavar="RATE", type=Rate(), default=0, show_default=True,
              help="uploader: bytes a second that all mappings together may send, such as 10M;"
              " 0: no limit. SIGUSR1 reads it anew from the file.")  # fmt: skip
@load_options(LOADGEN)
@click.option("--witness", metavar="FILE", default="", type=click.Path(dir_okay=False),
              help="loadgen: a new file that tells of every file that was made, renamed or deleted,"
              " and when (docs/loadgen.md).")  # fmt: skip
@log_options
@shared
def main(verbose: int, **given: Any) -> None:
    """Serve a bus as one of its agents, until SIGTERM."""
    _check_use(given["role"])
    # Whoever asks for --help waits for none of this, and an uploader's sinks not for ZeroMQ.
    from zfs_walk.cli.agent_arguments import AgentArguments  # noqa: PLC0415

    begin_logging(verbose)
    arguments = AgentArguments(**given)
    if arguments.role == WALKER:
        from zfs_walk.cli.agent_walker import serve_walker  # noqa: PLC0415

        serve_walker(arguments)
    elif arguments.role == SCOUT:
        from zfs_walk.cli.agent_scout import serve_scout  # noqa: PLC0415

        serve_scout(arguments)
    elif arguments.role == LOADGEN:
        from zfs_walk.cli.agent_loadgen import serve_loadgen  # noqa: PLC0415

        serve_loadgen(arguments)
    else:
        from zfs_walk.cli.agent_uploader import serve_uploader  # noqa: PLC0415

        serve_uploader(arguments)


def _check_use(role: str) -> None:
    """Refuse options that would be ignored; files and the environment may serve several roles."""
    context = click.get_current_context()
    for other, names in OF_ROLE.items():
        for name in names if other != role else ():
            if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                option = f"--{name.rstrip('_').replace('_', '-')}"
                reason = f"{option} is an option of {_one(other)}, not of {_one(role)}"
                raise WrongUseError(reason=reason)


def _one(role: str) -> str:
    return f"an {role}" if role == UPLOADER else f"a {role}"


def run() -> None:
    """Console entry point."""
    run_command(main, "zfs-agent")


if __name__ == "__main__":
    run()
