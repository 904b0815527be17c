"""What tracker replicas tell each other, over Redis' pub/sub.

A notice is heard by every replica that is connected at that moment, in the order in which its
sender posted it, and is not kept. So whoever was away, or could not send, says so when it is back
(:class:`RollCall`), and everybody then looks at the registry, which is the truth. Nothing here is
needed by a tracker that is alone: there each of these is a direct call.

Every replica posts at least its :class:`Roll` each few seconds and hears its own notices too; a
silence means that the connection is dead.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Literal

import pydantic
from pydantic import Field

from swarm.endings import first_end
from swarm.errors import Unavailable
from swarm.events import AnyEvent
from swarm.messages import Convert, Hex, ImageId, Message, Refusal, Text, Variant
from tracker.redis_client import reached

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.client import PubSub

_LOG = logging.getLogger(__name__)

_CHANNEL = "glance-swarm:bulletin"
#: Notices that wait to be sent; with more, the connection is given up and made anew.
_QUEUE_LENGTH = 4096
#: After this long without a notice, not even one of its own, a replica connects anew.
SILENCE_SECONDS = 15.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
_MOST_DOUBLINGS = 10


class Opened(Message):
    """A torrent is published: announces for it are admitted."""

    type: Literal["opened"] = "opened"
    announce_hash: Hex


class Closed(Message):
    """A torrent is withdrawn."""

    type: Literal["closed"] = "closed"
    announce_hash: Hex


class Roll(Message):
    """The seeders that are connected to the sender, by node."""

    type: Literal["roll"] = "roll"
    nodes: tuple[Text, ...]


class RollCall(Message):
    """The sender is new or was away: what it knew and what it said may be out of date."""

    type: Literal["roll_call"] = "roll_call"


class Asked(Message):
    """A demand for a seeder that is connected to another replica."""

    type: Literal["asked"] = "asked"
    node: Text
    demand: Convert


class Refused(Message):
    """A seeder of the sender's won't meet a demand."""

    type: Literal["refused"] = "refused"
    node: Text
    refusal: Refusal


class Progressed(Message):
    """Something about an image was written to the registry."""

    type: Literal["progressed"] = "progressed"
    image_id: ImageId


class Settled(Message):
    """A variant was published, or failed; the registry has which."""

    type: Literal["settled"] = "settled"
    image_id: ImageId
    variant: Variant


class Withdrawn(Message):
    """An image is no more."""

    type: Literal["withdrawn"] = "withdrawn"
    image_id: ImageId


class Happened(Message):
    """An event, for the subscribers of the other replicas."""

    type: Literal["happened"] = "happened"
    at: int
    id: Text
    event: AnyEvent


class NodesChanged(Message):
    """A node was registered or removed, or its keys changed; the registry has it."""

    type: Literal["nodes_changed"] = "nodes_changed"


Notice = (
    Opened
    | Closed
    | Roll
    | RollCall
    | Asked
    | Refused
    | Progressed
    | Settled
    | Withdrawn
    | Happened
    | NodesChanged
)


class Envelope(Message):
    """A notice and who posted it."""

    replica: Text
    notice: Annotated[Notice, Field(discriminator="type")]


#: Gets the sender's name and its notice. Of its own replica's it hears only the roll call.
Listener = Callable[[str, Notice], None]


class Bulletin:
    """One replica's side of the bulletin; ``replica`` is a name that no other has."""

    def __init__(self, client: Redis, *, silence_seconds: float = SILENCE_SECONDS) -> None:
        self.replica = uuid.uuid4().hex
        #: Whether notices come and go at this moment.
        self.is_connected = False
        self._client = client
        self._silence_seconds = silence_seconds
        self._listeners: list[Listener] = []
        self._outgoing: asyncio.Queue[Notice] | None = None
        self._has_overflowed = False

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` for each notice, in order."""
        self._listeners.append(listener)

    def post(self, notice: Notice) -> None:
        """Tell the other replicas, without waiting; while there is no connection, nobody.

        They hear a roll call then, once there is one again.
        """
        if self._outgoing is None:
            return
        try:
            self._outgoing.put_nowait(notice)
        except asyncio.QueueFull:
            self._has_overflowed = True

    def offer(self, notice: Notice) -> bool:
        """Tell the other replicas what they can do without; returns False if nobody will hear it.

        That leaves half of the queue to what matters: a burst of events is no gap in the rest.
        """
        if self._outgoing is None or self._outgoing.qsize() >= _QUEUE_LENGTH // 2:
            return False
        self._outgoing.put_nowait(notice)
        return True

    async def run(self, refresh: Callable[[], Awaitable[None]]) -> None:
        """Stay connected; runs until cancelled by who started it.

        ``refresh`` looks at the registry again. It is awaited at each roll call, so at the start
        and after each lost connection too.
        """
        failures = 0
        while True:
            try:
                await self._session(refresh)
            except Exception as error:  # noqa: BLE001 - also whatever ails the registry's database
                failures = 0 if self.is_connected else failures
                if not failures:
                    cause = error.__cause__ or error
                    _LOG.warning("other replicas can't be reached: %r; trying again", cause)
            finally:
                self.is_connected = False
                self._outgoing = None
            await asyncio.sleep(min(_FIRST_PAUSE_SECONDS * 2**failures, _LONGEST_PAUSE_SECONDS))
            failures = min(failures + 1, _MOST_DOUBLINGS)

    async def _session(self, refresh: Callable[[], Awaitable[None]]) -> None:
        with reached():
            async with self._client.pubsub() as channel:
                await channel.subscribe(_CHANNEL)
                self._outgoing, self._has_overflowed = asyncio.Queue(_QUEUE_LENGTH), False
                self.post(RollCall())
                await first_end(
                    self._send(self._outgoing, self._client), self._receive(channel, refresh)
                )

    async def _send(self, outgoing: asyncio.Queue[Notice], client: Redis) -> None:
        while not self._has_overflowed:
            envelope = Envelope(replica=self.replica, notice=await outgoing.get())
            await client.publish(_CHANNEL, envelope.model_dump_json())
        raise Unavailable("there were more notices than could be sent")

    async def _receive(self, channel: PubSub, refresh: Callable[[], Awaitable[None]]) -> None:
        is_subscribed = False
        while True:
            message = await channel.get_message(timeout=self._silence_seconds)
            if message is None:
                raise Unavailable(f"nothing was heard for {self._silence_seconds:.0f} s")
            if message["type"] == "message":
                await self._hear(message["data"], refresh)
            elif is_subscribed:
                raise Unavailable("the connection was lost for a moment")
            else:
                is_subscribed = True

    async def _hear(self, data: bytes, refresh: Callable[[], Awaitable[None]]) -> None:
        try:
            envelope = Envelope.model_validate_json(data)
        except pydantic.ValidationError:
            # A newer replica may say more than we understand.
            _LOG.warning("bulletin: notice not understood: %.200r", data)
            return
        is_own = envelope.replica == self.replica
        if isinstance(envelope.notice, RollCall):
            await refresh()
        elif is_own:
            return
        for listener in self._listeners:
            listener(envelope.replica, envelope.notice)
        if is_own:
            self.is_connected = True
            _LOG.info("connected to the other replicas")
