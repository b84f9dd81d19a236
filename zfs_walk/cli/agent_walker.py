"""``zfs-agent --role walker``."""

from contextlib import ExitStack

from zfs_walk.agents.sending.place import SendingPlace
from zfs_walk.agents.walker.core import AgentSettings
from zfs_walk.agents.walker.loop import WalkerLoop
from zfs_walk.agents.walker.pool import Nursery
from zfs_walk.cli.agent_arguments import AgentArguments
from zfs_walk.cli.serve_agent import AgentProcess
from zfs_walk.cli.state import SENDING, ipc_folder


def serve_walker(arguments: AgentArguments) -> None:
    """Walk for a bus until SIGTERM.

    Raises:
        ZfsWalkError: what kept it from that.
    """
    process = AgentProcess(arguments)
    with ExitStack() as stack:
        sending = SendingPlace(process.state / SENDING)
        nursery = Nursery(ipc_folder(), str(process.state), sending, arguments.allowed())
        stack.callback(nursery.close)
        # Locks come after the fork: workers would hold them on after this process's death.
        opened = stack.enter_context(process.opened(arguments.workers))
        settings = AgentSettings(opened.identity, patience=arguments.patience)
        loop = WalkerLoop(
            nursery, opened.bus, opened.endpoints, settings, arguments.dir_timeout, opened.handler
        )
        process.run(loop)
