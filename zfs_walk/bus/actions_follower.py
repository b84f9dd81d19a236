"""Follows what becomes of uploaders' actions, and finds gaps."""

from collections.abc import Callable, Iterator

from zfs_walk.bus.client import Client
from zfs_walk.bus.gaps import Gap, Gaps
from zfs_walk.bus.sockets import Bus
from zfs_walk.bus.streamfollower import StreamFollower
from zfs_walk.protocol.messages import LogMark, Message, UploaderActions
from zfs_walk.protocol.uploads import ACTION_TOPICS, actions_topic


class ActionsFollower(StreamFollower[UploaderActions | Gap]):
    """Yields what uploaders tell, and gaps where something is missing, for ever.

    It is the subscription that lets them tell: what happened before it is in their queues, and in
    the database that they may have.
    """

    def __init__(  # noqa: PLR0913, PLR0917 -- whom to follow, and whom to tell
        self,
        bus: Bus,
        client: Client,
        host: str,
        agent: str,
        say: Callable[[str], None],
        pause: Callable[[], None],
    ) -> None:
        """Nothing is connected yet.

        Args:
            bus: the process's context.
            client: of the broker; the follower's own.
            host: of the uploaders; empty: any.
            agent: name of the uploader; empty: any.
            say: takes what a user should know about the connection.
            pause: called whenever there is nothing more at the moment.
        """
        super().__init__(bus, client, say, pause)
        self._host, self._agent = host, agent
        self._gaps = Gaps()

    def follow(self) -> Iterator[UploaderActions | Gap]:
        """Messages, and gaps where they are missing.

        Raises:
            NoBrokerError: there was none from the beginning; one that goes away is waited for.
            RefusedError: the broker publishes nothing.
        """
        return self._follow()

    def _topics(self) -> list[bytes]:
        return [actions_topic(self._host) if self._host else ACTION_TOPICS]

    def _heard(self, topic: bytes, message: Message) -> Iterator[UploaderActions | Gap]:  # noqa: ARG002 -- each topic is of a host, and that is known
        if not isinstance(message, UploaderActions | LogMark):
            return
        origin = message.origin
        if self._host not in {"", origin.host} or self._agent not in {"", origin.name}:
            return
        news, gap = self._gaps.take("", message)
        if gap is not None:
            yield gap
        if news and isinstance(message, UploaderActions):
            yield message
