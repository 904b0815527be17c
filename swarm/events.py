"""What happens at the tracker, told as it happens: the events of ``GET /v1/events``.

Each has a type of its own, whose first word is its family: a subscriber asks for types or families.
Nothing may depend on having heard an event: the API has the state, and events are when to look.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Literal, get_args

from pydantic import Field

from swarm.messages import Hex, ImageId, Message, Text, Variant


def _now() -> datetime:
    return datetime.now(timezone.utc)


class Happening(Message):
    """What all events have."""

    at: datetime = Field(default_factory=_now, description="by the clock of the tracker's host")


class ImageRegistered(Happening):
    """An image is known, or its description has changed."""

    type: Literal["image.registered"] = "image.registered"
    image_id: ImageId
    name: Text


class ImagePublished(Happening):
    """A variant has its torrent."""

    type: Literal["image.published"] = "image.published"
    image_id: ImageId
    variant: Variant
    info_hash: Hex
    size: int = Field(description="bytes")


class ImageFailed(Happening):
    """A conversion has failed."""

    type: Literal["image.failed"] = "image.failed"
    image_id: ImageId
    variant: Variant
    reason: Text | None


class ImageWithdrawn(Happening):
    """An image and its torrents are no more."""

    type: Literal["image.withdrawn"] = "image.withdrawn"
    image_id: ImageId


class _OfNode(Happening):
    node: Text


class NodeConnected(_OfNode):
    """A node has opened its control channel."""

    type: Literal["node.connected"] = "node.connected"
    role: Text


class NodeDisconnected(_OfNode):
    """A node's control channel is gone."""

    type: Literal["node.disconnected"] = "node.disconnected"
    role: Text


class NodeAdded(_OfNode):
    """A node has got its first key."""

    type: Literal["node.added"] = "node.added"


class NodeRotated(_OfNode):
    """A node has got another key."""

    type: Literal["node.rotated"] = "node.rotated"


class NodeRevoked(_OfNode):
    """A node's keys are worth nothing any more."""

    type: Literal["node.revoked"] = "node.revoked"


class NodeRemoved(_OfNode):
    """A node is not known any more."""

    type: Literal["node.removed"] = "node.removed"


class _OfSwarm(Happening):
    node: Text
    rack: Text = Field("", description="empty if it is not known")
    announce_hash: Hex = Field(description="the first 20 bytes of the info-hash, 40 digits")


class SwarmJoined(_OfSwarm):
    """A node wants a torrent that it has not, or not whole."""

    type: Literal["swarm.joined"] = "swarm.joined"


class SwarmCompleted(_OfSwarm):
    """A node has all of a torrent."""

    type: Literal["swarm.completed"] = "swarm.completed"


class SwarmLeft(_OfSwarm):
    """A node neither has nor wants a torrent any more."""

    type: Literal["swarm.left"] = "swarm.left"


class EventsMissed(Happening):
    """Some events may not have been told to this subscriber: look at the state."""

    type: Literal["events.missed"] = "events.missed"
    reason: Text


Event = (
    ImageRegistered
    | ImagePublished
    | ImageFailed
    | ImageWithdrawn
    | NodeConnected
    | NodeDisconnected
    | NodeAdded
    | NodeRotated
    | NodeRevoked
    | NodeRemoved
    | SwarmJoined
    | SwarmCompleted
    | SwarmLeft
    | EventsMissed
)
#: To validate with.
AnyEvent = Annotated[Event, Field(discriminator="type")]

TYPES = tuple(kind.model_fields["type"].default for kind in get_args(Event))
FAMILIES = tuple(dict.fromkeys(name.partition(".")[0] for name in TYPES))
