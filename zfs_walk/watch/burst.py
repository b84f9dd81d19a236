"""A burst of events, with at most one event for a name between two moves."""

from zfs_walk.watch.monitor import Event, Looked, Lost, Moved, RootGone, Writing, Written


class Burst:
    """Collects events in the order in which they happened.

    Of several events on one name the last one that says whether it is being written stands, in the
    place of the first: whoever gets it looks at the name anyway. A move is a barrier, since names
    mean something else after it.
    """

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._places: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: Event) -> None:
        """Add an event."""
        if isinstance(event, Lost | RootGone):
            if event not in self._events[-1:]:
                self._events.append(event)
        elif isinstance(event, Moved):
            self._events.append(event)
            self._places.clear()
        else:
            self._put_named(event)

    def _put_named(self, event: Looked | Writing | Written) -> None:
        place = self._places.get(event.path)
        if place is None:
            self._places[event.path] = len(self._events)
            self._events.append(event)
        elif not isinstance(event, Looked):
            self._events[place] = event

    def take(self) -> list[Event]:
        """All that was collected; begin anew."""
        events, self._events = self._events, []
        self._places.clear()
        return events
