"""What nodes do on their control channels, told as events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarm.events import (
    NodeAdded,
    NodeConnected,
    NodeDisconnected,
    NodeRemoved,
    NodeRevoked,
    NodeRotated,
    SwarmCompleted,
    SwarmJoined,
    SwarmLeft,
)
from tracker.nodes.change import Change, NodeChange

if TYPE_CHECKING:
    from tracker.control.roster import Attendee
    from tracker.events import Events

_OF_NODE: dict[str, type[NodeConnected | NodeDisconnected]] = {
    "connected": NodeConnected,
    "disconnected": NodeDisconnected,
}
_OF_SWARM: dict[str, type[SwarmJoined | SwarmCompleted | SwarmLeft]] = {
    "joined": SwarmJoined,
    "completed": SwarmCompleted,
    "left": SwarmLeft,
}
_OF_KEYS: dict[Change, type[NodeAdded | NodeRotated | NodeRevoked | NodeRemoved]] = {
    Change.ADDED: NodeAdded,
    Change.ROTATED: NodeRotated,
    Change.REVOKED: NodeRevoked,
    Change.REMOVED: NodeRemoved,
}


class Happenings:
    """Emits what ``channel.py`` says of nodes, and ``reports.py`` of swarms."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def presence(self, what: str, attendee: Attendee) -> None:
        """Tell that a node is ``connected`` or ``disconnected``."""
        self._events.emit(_OF_NODE[what](node=attendee.node, role=attendee.role))

    def membership(self, what: str, attendee: Attendee, announce_hash: bytes) -> None:
        """Tell that a node has ``joined``, ``completed`` or ``left`` a swarm."""
        rack = attendee.rack.decode("utf-8", "replace")
        self._events.emit(
            _OF_SWARM[what](node=attendee.node, rack=rack, announce_hash=announce_hash.hex())
        )

    def change(self, change: NodeChange) -> None:
        """Tell what became of a node's keys, at the replica through which it was done."""
        if change.is_made_here:
            self._events.emit(_OF_KEYS[change.kind](node=change.node.name))
