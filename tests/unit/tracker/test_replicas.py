"""Two trackers on one Redis and one registry: what one learns, the other acts upon.

Both run in the test's own loop; the Redis is real, and is stopped, frozen and started again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from swarm import errors
from swarm.errors import Unauthenticated
from swarm.messages import Convert, NodeDescription, Variant
from swarm.tracker_client import TrackerClient
from tests.redis_service import redis_service
from tests.unit.tracker import lab
from tests.waiting import until_async
from tracker.bulletin import SILENCE_SECONDS, Asked, Bulletin, Roll, RollCall
from tracker.demands import Wanted
from tracker.redis_client import connect
from tracker.replicas import SharedDemands

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.redis_service import RedisService

#: Long enough that only an event can end it within a test.
LONG = 50.0
#: What "within a second" may take on a busy machine.
SOON = 5.0
NOT_PUBLISHED = {b"failure reason": b"this torrent is not published here"}


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisService]:
    """Run a Redis."""
    with redis_service(tmp_path) as service:
        yield service


def replica(directory: Path, redis: RedisService, name: str, **values: object) -> Any:  # noqa: ANN401 - a context
    """Run one replica during the block; yields a client of it."""
    return lab.tracker_at(
        directory / name,
        swarms_url=redis.url,
        database_url=f"sqlite+aiosqlite:///{directory}/shared.sqlite",
        **values,
    )


class Two(NamedTuple):
    """Two replicas."""

    a: TrackerClient
    b: TrackerClient


@contextlib.asynccontextmanager
async def two(directory: Path, redis: RedisService) -> AsyncIterator[Two]:
    """Run two replicas during the block."""
    async with replica(directory, redis, "a") as a, replica(directory, redis, "b") as b:
        yield Two(a, b)


async def published(client: TrackerClient) -> bytes:
    """Publish one torrent and return its announce hash."""
    await client.register_image(lab.describe())
    return (await lab.publish(client)).announce_hash


async def admits(client: TrackerClient, announce_hash: bytes) -> bool:
    """Return whether an announce gets peers; the announce is withdrawn at once."""
    for event in ("started", "stopped"):
        answer = await lab.announce(client, announce_hash, port=9, event=event)
    return b"interval" in answer


async def is_ready(client: TrackerClient) -> bool:
    """Return what the readiness of a replica is."""
    async with client.session.get(f"{client.url}/readyz") as response:
        return response.status == 200


def test_a_swarm_is_one_across_replicas(tmp_path: Path, redis: RedisService) -> None:
    """Published through one, it is admitted by the other; peers of both are told of each other."""

    async def scenario() -> None:
        async with two(tmp_path, redis) as (a, b):
            announce_hash = await published(a)
            await until_async(lambda: admits(b, announce_hash), what="admission", seconds=SOON)
            await lab.announce(a, announce_hash, port=1)
            answer = await lab.announce(b, announce_hash, port=2, left=0, event="completed")
            assert lab.addresses(answer) == {("127.0.0.1", 1)}
            assert (answer[b"complete"], answer[b"incomplete"]) == (1, 1)
            answer = await lab.announce(a, announce_hash, port=3)
            assert lab.addresses(answer) == {("127.0.0.1", 1), ("127.0.0.1", 2)}
            scrape = await lab.get(a, f"/scrape?info_hash={lab.quoted(announce_hash)}")
            assert scrape[b"files"][announce_hash][b"downloaded"] == 1

            await b.withdraw_image(lab.IMAGE)
            assert await lab.announce(b, announce_hash, port=1) == NOT_PUBLISHED

            async def is_refused() -> bool:
                return bool(await lab.announce(a, announce_hash, port=1) == NOT_PUBLISHED)

            await until_async(is_refused, what="withdrawal", seconds=SOON)

    asyncio.run(scenario())


def test_a_demand_reaches_a_seeder_at_another_replica(tmp_path: Path, redis: RedisService) -> None:
    """It converts and publishes there, and who waits here gets the torrent."""

    async def scenario() -> None:
        async with two(tmp_path, redis) as (a, b):

            async def convert(_: Convert) -> None:
                await b.register_image(lab.describe())
                await lab.publish(b)

            async with lab.connected(b, lab.FakeNode(on_demand=convert)) as seeder:
                data = await a.fetch_torrent(lab.IMAGE, Variant.ORIGINAL, wait_seconds=LONG)
                assert data == lab.torrent().data
                assert seeder.demands == [Convert(image_id=lab.IMAGE, variant=Variant.ORIGINAL)]

    asyncio.run(scenario())


def test_refusals_count_across_replicas(tmp_path: Path, redis: RedisService) -> None:
    """Unknown once the seeders of both have said so, and not before."""

    async def scenario() -> None:
        async with two(tmp_path, redis) as (a, b):
            here = lab.FakeNode(refuse_with="image_unknown")
            there = lab.FakeNode(refuse_with="image_unknown")
            async with lab.connected(b, there, name="s-b"):
                # Over once the seeder there was asked, so that it is known here.
                with pytest.raises(errors.ImageUnknown):
                    await a.fetch_torrent(lab.IMAGE, Variant.RAW, wait_seconds=LONG)
                async with lab.connected(a, here, name="s-a"):
                    start = time.monotonic()
                    with pytest.raises(errors.ImageUnknown):
                        await a.fetch_torrent(lab.IMAGE, Variant.RAW, wait_seconds=LONG)
                    assert time.monotonic() - start < SOON
                    assert (len(here.demands), len(there.demands)) == (1, 2)

    asyncio.run(scenario())


@pytest.mark.parametrize("fault", ["stop", "freeze"])
def test_redis_may_go_and_come_back(tmp_path: Path, redis: RedisService, fault: str) -> None:
    """Announces get a reason in a few seconds; what happened meanwhile is known afterwards."""

    async def scenario() -> None:
        async with two(tmp_path, redis) as (a, b):
            announce_hash = await published(a)
            await until_async(lambda: admits(b, announce_hash), what="admission", seconds=SOON)
            assert await is_ready(b)

            await asyncio.to_thread(redis.stop if fault == "stop" else redis.freeze)
            start = time.monotonic()
            answers = [lab.announce(b, announce_hash, port=port) for port in range(1, 60)]
            reasons = [answer[b"failure reason"] for answer in await asyncio.gather(*answers)]
            assert all(b"store of swarms" in reason for reason in reasons)
            # Even if all hang: two rounds of the connections there are, two seconds each.
            assert time.monotonic() - start < 3 * SOON
            assert not await is_ready(b)
            async with b.session.get(f"{b.url}/healthz") as response:
                assert response.status == 200
            raw = await lab.publish(a, b"raw" * 9999, variant=Variant.RAW)

            await asyncio.to_thread(redis.start if fault == "stop" else redis.thaw)
            for client in (a, b):
                for each in (announce_hash, raw.announce_hash):
                    await until_async(lambda c=client, h=each: admits(c, h), what="recovery")
            await until_async(lambda: is_ready(b), what="readiness")
            # The demands of one reach the seeders of the other again.
            async with lab.connected(a, lab.FakeNode(refuse_with="image_unsafe")):
                with pytest.raises(errors.ImageUnsafe):
                    await b.fetch_torrent(lab.OTHER, Variant.RAW, wait_seconds=LONG)

    asyncio.run(scenario())


def test_a_replica_starts_without_redis(tmp_path: Path, redis: RedisService) -> None:
    """And serves what needs none; with Redis there it is whole."""
    redis.stop()

    async def scenario() -> None:
        async with replica(tmp_path, redis, "a") as a:
            announce_hash = await published(a)
            assert not await admits(a, announce_hash)
            await asyncio.to_thread(redis.start)
            await until_async(lambda: admits(a, announce_hash), what="recovery")

    asyncio.run(scenario())


def test_a_notice_that_is_not_understood_is_passed_over(
    tmp_path: Path, redis: RedisService, caplog: pytest.LogCaptureFixture
) -> None:
    """A newer replica may say more; the ones after it are heard."""

    async def scenario() -> None:
        async with (
            two(tmp_path, redis) as (a, b),
            connect(redis.url, connections=1, retries=0) as c,
        ):

            async def is_heard() -> bool:
                await c.publish("glance-swarm:bulletin", b"\xff{}")
                return "not understood" in caplog.text

            await until_async(is_heard, what="the notice")
            announce_hash = await published(a)
            await until_async(lambda: admits(b, announce_hash), what="admission", seconds=SOON)
        assert "lost" not in caplog.text

    asyncio.run(scenario())


def test_replicas_do_the_same_at_the_same_moment(tmp_path: Path, redis: RedisService) -> None:
    """They register and publish the same: no error, one result."""

    async def scenario() -> None:
        async with two(tmp_path, redis) as trackers:
            await asyncio.gather(*(t.register_image(lab.describe()) for t in trackers))
            await asyncio.gather(*(lab.publish(t) for t in trackers))
            images = [await t.list_images() for t in trackers]
            assert images[0] == images[1]
            assert len(images[0]) == 1
            (variant,) = images[0][0].variants
            assert variant.info_hash == lab.torrent().info_hash.hex()

    asyncio.run(scenario())


WANTED = Wanted(lab.IMAGE, Variant.RAW)


class Recorder:
    """The tracker's side of a seeder that is connected here: it records what it is asked."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.asked: list[Convert] = []

    def ask(self, demand: Convert) -> None:
        """Record a demand."""
        self.asked.append(demand)


class Post(Bulletin):
    """A bulletin without a Redis: it keeps what is posted, and the test says what is heard."""

    def __init__(self) -> None:
        super().__init__(client=None)  # type: ignore[arg-type]  # nothing here connects
        self.posted: list[object] = []

    def post(self, notice: object) -> None:
        """Keep a notice."""
        self.posted.append(notice)

    def hear(self, sender: str, notice: object) -> None:
        """Let the listeners hear ``notice``."""
        for listener in self._listeners:
            listener(sender, notice)  # type: ignore[arg-type]


def asked(post: Post) -> list[str]:
    """Return the nodes that were asked over the bulletin, and forget what was posted."""
    nodes = [notice.node for notice in post.posted if isinstance(notice, Asked)]
    post.posted.clear()
    return nodes


def test_a_distant_seeder_is_asked_again_when_it_may_not_have_heard() -> None:
    """After its replica was away, after this one was, and when it comes back by another."""
    post, clock = Post(), lab.Clock()
    demands = SharedDemands(post, clock=clock)
    post.hear("b", Roll(nodes=("s",)))
    with demands.waiting_for(WANTED) as demand:
        assert asked(post) == ["s"]
        post.hear("b", Roll(nodes=("s",)))
        assert asked(post) == [], "the same roll again says nothing new"
        for away in ("b", post.replica):
            post.hear(away, RollCall())
            assert not demands.seeder_count
            post.hear("b", Roll(nodes=("s",)))
            assert asked(post) == ["s"]
        post.hear("c", Roll(nodes=("s",)))
        assert asked(post) == ["s"]
        post.hear("b", Roll(nodes=()))
        assert demands.is_pending(demand), "it is at c now"
        clock.now += SILENCE_SECONDS + 1
        demands.drop_silent()
        assert not demands.seeder_count, "c was killed, it seems"
        assert not demands.is_pending(demand)


def test_a_seeder_that_is_here_is_asked_here() -> None:
    """Whatever another replica still believes."""
    post = Post()
    demands = SharedDemands(post)
    here = Recorder("s")
    demands.join(here)
    assert post.posted[-1] == Roll(nodes=("s",))
    post.hear("b", Roll(nodes=("s", "t")))
    with demands.waiting_for(WANTED):
        assert asked(post) == ["t"]
        assert len(here.asked) == 1
    post.hear("b", Asked(node="s", demand=here.asked[0]))
    post.hear("b", Asked(node="t", demand=here.asked[0]))
    assert len(here.asked) == 2, "the other's own seeder is its own business"
    assert asked(post) == []


def test_a_node_is_let_in_and_cut_off_at_every_replica(tmp_path: Path, redis: RedisService) -> None:
    """Whichever registered it, and whichever revoked it; the others are told, and need not look."""
    token = "long-enough-for-an-operator"  # noqa: S105 - of this test only
    description = NodeDescription(name="node-1", addresses=["127.0.0.2"])

    async def lets_in(url: str, key: str) -> bool:
        async with TrackerClient(url, token=key, local_address="127.0.0.2") as node:
            try:
                await node.list_images()
            except Unauthenticated:
                return False
            return True

    async def scenario() -> None:
        async with contextlib.AsyncExitStack() as stack:
            for name in "ab":
                running = replica(tmp_path, redis, name, operator_token=token)
                operators.append(await stack.enter_async_context(running))
            clients = [TrackerClient(o.url, token=token) for o in operators]
            a, b = [await stack.enter_async_context(client) for client in clients]
            await until_async(lambda: is_ready(b), what="both are connected", seconds=SOON)
            key = (await a.add_node(description)).key
            await until_async(lambda: lets_in(b.url, key), what="b lets it in", seconds=SOON)
            await b.revoke_node("node-1")

            async def is_refused() -> bool:
                return not await lets_in(a.url, key)

            await until_async(is_refused, what="a does not", seconds=SOON)

    operators: list[TrackerClient] = []
    asyncio.run(scenario())
