"""`GET /v1/events` through a real tracker, and the hub behind it on its own."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import pytest

from swarm import errors
from swarm.deadline import within
from swarm.events import (
    FAMILIES,
    TYPES,
    EventsMissed,
    ImageFailed,
    ImagePublished,
    ImageRegistered,
    ImageWithdrawn,
    NodeAdded,
    NodeRemoved,
    SwarmJoined,
)
from swarm.messages import Variant, VariantReport
from swarm.tracker_client import TrackerClient
from swarm.web import server
from swarm.web.routes import add_routes, anybody
from tests.unit.tracker import lab
from tests.waiting import until, until_async
from tracker.api.events import EventsApi
from tracker.events import Events, parse_types

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aiohttp import web

    from swarm.events import Event

SOON = 10.0
ALL = parse_types(None)


class Listener:
    """A client that keeps what it is told."""

    def __init__(self) -> None:
        self.heard: list[Event] = []

    def types(self) -> list[str]:
        """Return the types of what was told."""
        return [event.type for event in self.heard]


@contextlib.asynccontextmanager
async def listening(
    client: TrackerClient, *types: str, after: str | None = None
) -> AsyncIterator[Listener]:
    """Follow the events during the block; it begins before the connection is made."""
    listener = Listener()

    async def run() -> None:
        async for event in client.events(types, after=after):
            listener.heard.append(event)

    task = asyncio.create_task(run())
    try:
        yield listener
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def stream_of(events: Events, **options: Any) -> AsyncIterator[TrackerClient]:  # noqa: ANN401 - passed on
    """Serve a hub alone."""
    app = server.application()
    add_routes(app.router, EventsApi(events, **options).routes(), anybody)

    async def close(_: web.Application) -> None:
        events.close()

    app.on_shutdown.append(close)
    async with (
        server.serving(app, address="127.0.0.1", port=0) as urls,
        TrackerClient(urls[0]) as client,
    ):
        yield client


async def take(events: Events, after: str | None = None) -> list[bytes]:
    """Return the ids and types that a subscriber who comes now is told at once."""
    with events.subscribe(ALL, after) as subscription:
        text = await subscription.take(0)
    assert text is not None
    lines = text.splitlines()
    return [line.split(b": ")[1] for line in lines if line.startswith((b"id: ", b"event: "))]


def test_the_life_of_an_image_is_told(tmp_path: Path) -> None:
    """Each step once, in order; what changes nothing is no event."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t, listening(t, "image") as listener:

            async def is_up() -> bool:
                await t.register_image(lab.describe(name=f"n{time.monotonic()}"))
                return bool(listener.heard)

            await until_async(is_up, what="the stream")
            start = len(listener.heard)
            for _ in range(2):
                await t.register_image(lab.describe())
                report = VariantReport.model_validate({"state": "failed", "reason": "no room"})
                await t.report_variant(lab.IMAGE, Variant.RAW, report)
                made = await lab.publish(t)
            await t.withdraw_image(lab.IMAGE)
            await until(lambda: "image.withdrawn" in listener.types(), what="the events")
            # What was under way when the stream came up may still be told first.
            told = [
                event
                for event in listener.heard[start:]
                if not (isinstance(event, ImageRegistered) and event.name.startswith("n"))
            ]
            assert [type(event) for event in told] == [
                ImageRegistered,
                ImageFailed,
                ImagePublished,
                ImageWithdrawn,
            ]
            failed, published = told[1], told[2]
            assert isinstance(failed, ImageFailed)
            assert (failed.variant, failed.reason) == (Variant.RAW, "no room")
            assert isinstance(published, ImagePublished)
            assert (published.info_hash, published.size) == (made.info_hash.hex(), len(lab.BYTES))

    asyncio.run(scenario())


def test_only_what_was_asked_for_is_told() -> None:
    """By type or by family; an unknown one is refused with those that there are."""
    assert parse_types("image,node.added") == {
        name for name in TYPES if name.startswith("image.") or name == "node.added"
    } | {"events.missed"}
    assert set(FAMILIES) == {"image", "node", "swarm", "events"}
    for wrong in ("", "images", "image.", "image,"):
        with pytest.raises(errors.MalformedRequest, match=r"swarm\.completed"):
            parse_types(wrong)

    async def scenario() -> None:
        events = Events()
        async with stream_of(events) as t:
            async with listening(t, "node.removed") as listener:
                await until(lambda: events.subscriber_count == 1, what="the stream")
                events.emit(NodeAdded(node="a"))
                events.emit(NodeRemoved(node="b"))
                await until(lambda: bool(listener.heard), what="the event")
                assert listener.types() == ["node.removed"]
            with pytest.raises(errors.MalformedRequest, match="banana"):
                async for _ in t.events(["banana"]):
                    pass

    asyncio.run(scenario())


def test_who_returns_is_told_what_it_missed() -> None:
    """After the id that it names, in order; if that is too long ago it is told so first."""

    async def scenario() -> None:
        clock = lab.Clock()
        events = Events(name="0123456789", ring_length=4, clock=clock)
        for number in range(4):
            events.emit(NodeAdded(node=f"n{number}"))
        (*_, oldest) = await take(events, "0000000000000000-00000000")
        assert oldest == b"node.added"
        ids = (await take(events, "0000000000000000-00000000"))[1::2]
        assert ids == sorted(ids), "ids grow, even while the clock stands still"
        assert len(set(ids)) == 4
        assert (await take(events, ids[1].decode()))[::2] == ids[2:]
        assert await take(events, ids[3].decode()) == []
        events.emit(NodeAdded(node="n4"))
        # The first is gone from the ring, and who had it missed nothing.
        assert len(await take(events, ids[0].decode())) == 8
        events.emit(NodeAdded(node="n5"))
        told = await take(events, ids[0].decode())
        assert told[0] == b"events.missed"
        assert told[1::2] == [*ids[2:], *told[5::2]]
        assert await take(events) == []
        for wrong in ("", "1", "0123456789012345-XYZ"):
            with pytest.raises(errors.MalformedRequest, match="Last-Event-ID"):
                await take(events, wrong)

    asyncio.run(scenario())


def test_a_restarted_tracker_says_that_something_may_be_missed() -> None:
    """An id from before its start is older than all it has on record."""

    async def scenario() -> None:
        before = Events()
        before.emit(NodeAdded(node="a"))
        last = (await take(before, "0000000000000000-00000000"))[-2].decode()
        after = Events()
        assert await take(after, last) == [b"events.missed"]

    asyncio.run(scenario())


def test_a_slow_subscriber_is_cut_and_told_so() -> None:
    """Its last event says why; others go on; it comes back where it was."""

    async def scenario() -> None:
        events = Events(queue_length=3)
        with events.subscribe(ALL) as slow, events.subscribe(ALL) as good:
            for number in range(4):
                events.emit(NodeAdded(node=f"n{number}"))
                assert await good.take(0)
            assert (events.dropped, events.subscriber_count) == (1, 1)
            text = await slow.take(0)
            assert text is not None
            assert text.count(b"event: node.added") == 3
            last = await slow.take(0)
            assert last is not None
            assert b"event: events.missed" in last
            assert b"id:" not in last, "the client goes on from the last real one"
            assert await slow.take(0) is None
            ids = [line[4:] for line in text.splitlines() if line.startswith(b"id: ")]
            assert (await take(events, ids[-1].decode()))[1::2] == [b"node.added"]

    asyncio.run(scenario())


def test_the_stream_is_taken_up_after_the_last_event(tmp_path: Path) -> None:
    """A client whose connection is cut is told each event once, and misses none."""
    del tmp_path

    async def scenario() -> None:
        events = Events(queue_length=2)
        async with stream_of(events) as t, listening(t) as listener:
            await until(lambda: events.subscriber_count == 1, what="the stream")
            for number in range(40):
                # All in one turn of the loop: more than the queue holds.
                events.emit(NodeAdded(node=f"n{number}"))

            def nodes() -> list[str]:
                return [event.node for event in listener.heard if isinstance(event, NodeAdded)]

            await until(lambda: len(nodes()) == 40, what="all events")
            assert nodes() == [f"n{number}" for number in range(40)]
            assert any(isinstance(event, EventsMissed) for event in listener.heard), "it was cut"

    asyncio.run(scenario())


def test_a_silent_stream_has_a_heartbeat_and_ends_with_the_tracker() -> None:
    """A comment each 15 s (here less), which tells no event; at shutdown the stream ends well."""

    async def scenario() -> None:
        events = Events()
        async with contextlib.AsyncExitStack() as stack:
            t = await stack.enter_async_context(stream_of(events, heartbeat_seconds=0.05))
            response = await stack.enter_async_context(t.session.get(f"{t.url}/v1/events"))
            assert response.content_type == "text/event-stream"
            assert response.headers["Cache-Control"] == "no-store"
            for _ in range(3):
                assert (await within(SOON, response.content.readline())).startswith(b":")
                assert await within(SOON, response.content.readline()) == b"\n"
            start = time.monotonic()
            events.close()
            assert (await within(SOON, response.read())).strip(b"\n: acehikrt") == b""
            assert time.monotonic() - start < SOON
            with pytest.raises(errors.Unavailable):
                await t.call("GET", "/v1/events")

    asyncio.run(scenario())


def test_who_hangs_up_is_forgotten() -> None:
    """At the next heartbeat."""

    async def scenario() -> None:
        events = Events()
        async with stream_of(events, heartbeat_seconds=0.05) as t:
            async with t.session.get(f"{t.url}/v1/events") as response:
                await response.content.readline()
                assert events.subscriber_count == 1
                response.close()
            await until(lambda: not events.subscriber_count, what="the end")

    asyncio.run(scenario())


def test_nodes_and_swarms_are_told(tmp_path: Path) -> None:
    """From the channel's opening to its end; who returns is told all of it in order."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            await t.register_image(lab.describe())
            key = (await lab.publish(t)).announce_hash
            async with listening(t, "node", "swarm", after=f"{0:016d}-{0:08d}") as listener:
                node = lab.FakeNode()
                async with lab.connected(t, node, name="n", role="agent", port=1):
                    for left, what in ((5, "swarm.joined"), (0, "swarm.completed")):
                        node.have(key, left)
                        await until(lambda w=what: w in listener.types(), what=what)
                    node.leave(key)
                    await until(lambda: "swarm.left" in listener.types(), what="leaving")
                await until(lambda: "node.disconnected" in listener.types(), what="the end")
                assert listener.types() == [
                    "events.missed",  # the id that was named is from before the tracker's start
                    "node.connected",
                    "swarm.joined",
                    "swarm.completed",
                    "swarm.left",
                    "node.disconnected",
                ]
                joined = listener.heard[2]
                assert isinstance(joined, SwarmJoined)
                assert (joined.node, joined.announce_hash) == ("n", key.hex())

    asyncio.run(scenario())
