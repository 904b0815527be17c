"""Who listens to what happens: a queue for each subscriber, and a short memory for who returns.

Telling costs the same whoever listens, and never waits: a subscriber that does not keep up is cut,
with a last word that says so, and may come back with the id of the last event that it got. So an
event may be told twice, and is never left out without a word.

An id is the time in microseconds and the name of the tracker where it happened. Ids of one tracker
grow. Those of several (``tracker/shared_events.py``) are told as they arrive, so that one may come
after a later one: who returns is told a few seconds again.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
import uuid
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from swarm.deadline import within
from swarm.errors import MalformedRequest, Unavailable
from swarm.events import FAMILIES, TYPES, EventsMissed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from swarm.events import Event

#: Past events that are kept for who returns.
RING_LENGTH = 4096
#: Events that wait for one subscriber.
QUEUE_LENGTH = 1024
MOST_SUBSCRIBERS = 256

_NAME_DIGITS = 8
_ID = re.compile(rf"([0-9]{{16}})-[0-9a-f]{{{_NAME_DIGITS}}}")


class Told(NamedTuple):
    """An event as it is sent."""

    #: Microseconds since 1970.
    at: int
    id: str
    type: str
    text: bytes


def encode(event: Event, event_id: str = "") -> bytes:
    """Return an event in the form of a server-sent event (WHATWG HTML, section 9.2)."""
    lines = [f"id: {event_id}"] if event_id else []
    lines += [f"event: {event.type}", f"data: {event.model_dump_json()}", "", ""]
    return "\n".join(lines).encode()


def parse_types(text: str | None) -> frozenset[str]:
    """Return the types in a list of types and families with commas between; None means all.

    Raises :class:`~swarm.errors.MalformedRequest` for one that does not exist.
    """
    wanted = {*(TYPES if text is None else text.split(",")), "events.missed"}
    unknown = sorted(wanted.difference(TYPES, FAMILIES))
    if unknown:
        raise MalformedRequest(
            f"type: {unknown[0]!r:.60} is not one of: {' '.join((*FAMILIES, *TYPES))}"
        )
    return frozenset(name for name in TYPES if {name, name.partition(".")[0]} & wanted)


class Subscription:
    """What one subscriber has still to be told: ``past`` first, then what happens.

    Of what happens, ``queue_length`` events may wait.
    """

    def __init__(self, types: frozenset[str], past: list[bytes], *, queue_length: int) -> None:
        self._types = types
        self._texts = deque(past)
        self._most = len(past) + queue_length
        self._change = asyncio.Event()
        self._has_ended = False
        self._last_word = b""

    def tell(self, told: Told) -> bool:
        """Queue an event, if it is wanted; returns whether there was room for it."""
        if told.type not in self._types:
            return True
        if len(self._texts) >= self._most:
            return False
        self._texts.append(told.text)
        self._change.set()
        return True

    def end(self, last_word: bytes = b"") -> None:
        """Let it end after what is queued, with a last word."""
        self._has_ended = True
        self._last_word = last_word
        self._change.set()

    async def take(self, seconds: float) -> bytes | None:
        """Return what there is to send: nothing after ``seconds`` of silence, None at the end."""
        if not self._texts and not self._has_ended:
            self._change.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await within(seconds, self._change.wait())
        if not self._texts and self._has_ended:
            last_word, self._last_word = self._last_word, b""
            return last_word or None
        text = b"".join(self._texts)
        self._texts.clear()
        return text


class Events:
    """All subscribers, and the last events."""

    def __init__(
        self,
        *,
        name: str = "",
        ring_length: int = RING_LENGTH,
        queue_length: int = QUEUE_LENGTH,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._name = (name or uuid.uuid4().hex)[:_NAME_DIGITS]
        self._clock = clock
        self._queue_length = queue_length
        self._ring: deque[Told] = deque(maxlen=ring_length)
        self._subscriptions: set[Subscription] = set()
        self._last = 0
        #: Everything after that is in the ring.
        self._complete_since = self._next()
        #: Events that a subscriber, or another replica, was not told.
        self.dropped = 0
        self.is_closed = False

    #: How much who returns is told again.
    overlap_seconds = 0.0

    @property
    def subscriber_count(self) -> int:
        """How many listen."""
        return len(self._subscriptions)

    def emit(self, event: Event) -> None:
        """Tell everybody what happened here just now; never waits, never fails."""
        at = self._next()
        self.tell(at, self._id(at), event)

    def _id(self, at: int) -> str:
        return f"{at:016d}-{self._name}"

    def _next(self) -> int:
        self._last = max(int(self._clock() * 1_000_000), self._last + 1)
        return self._last

    def tell(self, at: int, event_id: str, event: Event) -> None:
        """Tell the subscribers here an event that has its id."""
        if len(self._ring) == self._ring.maxlen:
            self._complete_since = max(self._complete_since, self._ring[0].at)
        told = Told(at, event_id, event.type, encode(event, event_id))
        self._ring.append(told)
        for subscription in list(self._subscriptions):
            if not subscription.tell(told):
                self._cut(subscription)

    def _cut(self, subscription: Subscription) -> None:
        self.dropped += 1
        reason = f"more than {self._queue_length} events wait: come back with Last-Event-ID"
        subscription.end(encode(EventsMissed(reason=reason)))
        self._subscriptions.discard(subscription)

    @contextlib.contextmanager
    def subscribe(self, types: frozenset[str], after: str | None = None) -> Iterator[Subscription]:
        """Listen during the block, from the event with the id ``after`` on if there is one.

        Raises :class:`~swarm.errors.MalformedRequest` for an id that is none, and
        :class:`~swarm.errors.Unavailable` if there are too many subscribers.
        """
        past = [] if after is None else self._since(after, types)
        if self.is_closed:
            raise Unavailable("the tracker is shutting down")
        if len(self._subscriptions) >= MOST_SUBSCRIBERS:
            raise Unavailable(f"{MOST_SUBSCRIBERS} others listen to events at this moment")
        subscription = Subscription(types, past, queue_length=self._queue_length)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def _since(self, after: str, types: frozenset[str]) -> list[bytes]:
        found = _ID.fullmatch(after)
        if found is None:
            raise MalformedRequest(f"Last-Event-ID: {after!r:.60} is no id of an event of ours")
        at = int(found[1])
        first = at - int(self.overlap_seconds * 1_000_000)
        texts = [
            told.text
            for told in self._ring
            if told.at >= first
            and told.id != after
            and told.type in types
            and (told.at > at or self.overlap_seconds)
        ]
        if at < self._complete_since:
            reason = "events after the given id are not on record any more"
            texts.insert(0, encode(EventsMissed(reason=reason)))
        return texts

    def close(self) -> None:
        """End every stream; subscribers come back when a tracker does."""
        self.is_closed = True
        for subscription in self._subscriptions:
            subscription.end()
