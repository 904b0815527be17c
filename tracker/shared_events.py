"""Events of several tracker replicas: each tells its subscribers what happens at the others too.

They come over the bulletin (``tracker/bulletin.py``), which keeps nothing: after a gap in it the
subscribers are told that they may have missed something.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarm.events import EventsMissed
from tracker.bulletin import Happened, RollCall
from tracker.events import Events

if TYPE_CHECKING:
    from swarm.events import Event
    from tracker.bulletin import Bulletin, Notice


class SharedEvents(Events):
    """The subscribers of this replica, and the events of all."""

    #: What an event may need from one replica to the other, and their clocks may differ by.
    overlap_seconds = 5.0

    def __init__(self, bulletin: Bulletin) -> None:
        super().__init__(name=bulletin.replica)
        self._bulletin = bulletin
        self._has_been_connected = False
        bulletin.listen(self._hear)

    def emit(self, event: Event) -> None:
        """Tell everybody, here and at the other replicas."""
        at = self._next()
        event_id = self._id(at)
        self.tell(at, event_id, event)
        if not self._bulletin.offer(Happened(at=at, id=event_id, event=event)):
            self.dropped += 1

    def _hear(self, replica: str, notice: Notice) -> None:
        if isinstance(notice, Happened):
            self.tell(notice.at, notice.id, notice.event)
        elif isinstance(notice, RollCall) and replica == self._bulletin.replica:
            if self._has_been_connected:
                at = self._next()
                reason = "the other replicas could not be heard for a moment"
                self.tell(at, self._id(at), EventsMissed(reason=reason))
            self._has_been_connected = True
