"""Events of two replicas on one Redis: each tells those of both, and says when it could not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from swarm.events import EventsMissed, ImageRegistered, NodeAdded
from tests.redis_service import redis_service
from tests.unit.tracker import lab
from tests.unit.tracker.test_events import listening
from tests.unit.tracker.test_replicas import two
from tests.waiting import until, until_async
from tracker import bulletin
from tracker.bulletin import Bulletin, Happened, RollCall
from tracker.events import parse_types
from tracker.shared_events import SharedEvents

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.redis_service import RedisService


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisService]:
    """Run a Redis."""
    with redis_service(tmp_path) as service:
        yield service


def test_each_replica_tells_the_events_of_both(tmp_path: Path, redis: RedisService) -> None:
    """Once, under one id; after Redis was away it says that something may be missed."""

    async def scenario() -> None:
        async with (
            two(tmp_path, redis) as (a, b),
            listening(a, "image") as at_a,
            listening(b, "image") as at_b,
        ):

            async def are_up() -> bool:
                await a.register_image(lab.describe(name=f"n{len(at_a.heard)}"))
                return bool(at_a.heard and at_b.heard)

            await until_async(are_up, what="the streams")
            for number, client in enumerate((a, b, a, b)):
                await client.register_image(lab.describe(lab.OTHER, name=f"m{number}"))

            def names(of: object) -> list[str]:
                events = [e for e in of.heard if isinstance(e, ImageRegistered)]  # type: ignore[attr-defined]
                return sorted(e.name for e in events if e.image_id == lab.OTHER)

            expected = [f"m{number}" for number in range(4)]
            for listener in (at_a, at_b):
                await until(lambda of=listener: names(of) == expected, what="the events")
            await asyncio.to_thread(redis.stop)
            await asyncio.to_thread(redis.start)
            for listener in (at_a, at_b):
                await until(
                    lambda of=listener: any(isinstance(e, EventsMissed) for e in of.heard),
                    what="the word of the gap",
                )

    asyncio.run(scenario())


class Silent(Bulletin):
    """A bulletin that is not connected: what is offered is heard by nobody."""

    def __init__(self) -> None:
        super().__init__(client=None)  # type: ignore[arg-type]  # nothing here connects

    def hear(self, sender: str, notice: bulletin.Notice) -> None:
        """Let the listeners hear ``notice``."""
        for listener in self._listeners:
            listener(sender, notice)


def test_who_comes_from_another_replica_is_told_some_again() -> None:
    """An event of the other that arrived late, and is older than the last one told, is not lost."""

    async def scenario() -> None:
        post = Silent()
        events = SharedEvents(post)
        events.emit(NodeAdded(node="here"))
        assert events.dropped == 1, "nobody at the other replicas heard of it"
        with events.subscribe(parse_types(None), f"{0:016d}-{0:08x}") as subscription:
            text = await subscription.take(0)
        assert text is not None
        last = next(line[4:] for line in text.decode().splitlines() if line.startswith("id: "))
        at = int(last.partition("-")[0]) - 1_000_000
        late = Happened(at=at, id=f"{at:016d}-{1:08x}", event=NodeAdded(node="there"))
        post.hear("b", late)
        with events.subscribe(parse_types(None), last) as subscription:
            again = await subscription.take(0)
        assert again is not None
        assert b"there" in again
        assert b'"here"' not in again

    asyncio.run(scenario())


def test_the_first_roll_call_of_a_replica_is_no_gap() -> None:
    """It is the start; each later one of its own is told, those of others are not."""
    post = Silent()
    events = SharedEvents(post)
    with events.subscribe(parse_types(None)) as subscription:
        post.hear(post.replica, RollCall())
        post.hear("b", RollCall())
        assert asyncio.run(subscription.take(0)) == b""
        post.hear(post.replica, RollCall())
        assert b"events.missed" in (asyncio.run(subscription.take(0)) or b"")


def test_a_burst_of_events_leaves_room_for_what_matters() -> None:
    """Half of the queue: more are not passed on, and the connection stays."""
    post = Silent()
    post._outgoing = asyncio.Queue(bulletin._QUEUE_LENGTH)
    events = SharedEvents(post)
    for number in range(bulletin._QUEUE_LENGTH):
        events.emit(NodeAdded(node=f"n{number}"))
    assert events.dropped == post._outgoing.qsize() == bulletin._QUEUE_LENGTH // 2
    post.post(RollCall())
    assert not post._has_overflowed
