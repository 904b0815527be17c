"""The store in Redis, beyond the contract: what it costs, and what it leaves behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from swarm import errors
from tests.redis_service import redis_service
from tests.waiting import until_async
from tracker.bulletin import Bulletin
from tracker.handout.policy import Kinds
from tracker.redis_client import connect
from tracker.swarms.peer import Peer, compact
from tracker.swarms.redis import RedisSwarms

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from redis.asyncio import Redis

    from tests.redis_service import RedisService

HASH = b"h" * 20
IPV4 = bytes([192, 0, 2, 1])
PEERS = [Peer(b"%020d" % n, compact(IPV4, n), n % 2) for n in range(1, 41)]
IN_RACKS = [peer._replace(group=b"rack-%d" % (n % 3)) for n, peer in enumerate(PEERS)]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisService]:
    """Run a Redis."""
    with redis_service(tmp_path) as service:
        yield service


def store(client: Redis, *, lifetime_seconds: float = 1000.0) -> RedisSwarms:
    """Return a store with one open swarm."""
    swarms = RedisSwarms(client, Bulletin(client), lifetime_seconds=lifetime_seconds)
    swarms.open(HASH)
    return swarms


def test_each_step_is_one_round_trip(redis: RedisService) -> None:
    """Once Redis knows the scripts: an announce, a scrape, a report of 500 torrents, a farewell."""
    hashes = [b"%020d" % n for n in range(500)]

    async def scenario() -> None:
        async with connect(redis.url, connections=1, retries=0) as client:
            swarms = store(client)
            swarms.restore([HASH, *hashes])

            async def steps() -> None:
                await swarms.announce(HASH, IN_RACKS[0], want=10)
                await swarms.scrape([HASH, *hashes[1:]], IPV4)
                await swarms.report(IN_RACKS[0], [(each, 1) for each in hashes])
                await swarms.leave(IN_RACKS[0].endpoint, hashes)
                await swarms.forget(HASH)
                swarms.open(HASH)

            await steps()
            await client.config_resetstat()
            for peer in IN_RACKS:
                await swarms.announce(HASH, peer, want=10)
            await steps()
            stats = await client.info("commandstats")
            assert stats["cmdstat_evalsha"]["calls"] == len(IN_RACKS) + 5
            # The others that came over the wire; what the scripts call is of other names.
            assert not {"cmdstat_eval", "cmdstat_script|load", "cmdstat_script|exists"} & set(stats)

    asyncio.run(scenario())


@pytest.mark.parametrize(("peers", "keys"), [(PEERS, 4), (IN_RACKS, 4 + 2 + 2 * 3)])
def test_everything_has_an_end(redis: RedisService, peers: list[Peer], keys: int) -> None:
    """Each key is in our name space and expires by itself, without any sweep."""

    async def scenario() -> None:
        async with connect(redis.url, connections=1, retries=0) as client:
            swarms = store(client, lifetime_seconds=1.0)
            for peer in peers:
                await swarms.announce(HASH, peer, has_completed=True)
                await swarms.report(peer, [(HASH, peer.left)])
            found = await client.keys()
            assert len(found) == keys
            assert all(key.startswith(b"glance-swarm:") for key in found)
            assert all([await client.ttl(key) >= 0 for key in found])

            async def only_the_counter_is_left() -> bool:
                return [key.rpartition(b":")[2] for key in await client.keys()] == [b"downloaded"]

            await until_async(only_the_counter_is_left, what="the end of the peers")

    asyncio.run(scenario())


def test_groups_cost_nothing_where_there_are_none(redis: RedisService) -> None:
    """Their keys come with the first peer of a group, and sort those that were there before."""

    async def scenario() -> None:
        async with connect(redis.url, connections=1, retries=0) as client:
            swarms = store(client)
            for peer in PEERS:
                await swarms.announce(HASH, peer, want=5)
            assert not await client.keys("*:groups")
            assert not await client.keys("*:of:*")
            answer = await swarms.announce(HASH, IN_RACKS[0], want=50)
            assert await client.keys("*:groups")
            assert answer.others == Kinds(far_complete=20, far_incomplete=19)
            assert len(answer.drawn.far_complete) == 20 * 6
            assert len(answer.drawn.far_incomplete) == 19 * 6

    asyncio.run(scenario())


def test_nothing_is_left_of_who_was_withdrawn_or_went(redis: RedisService) -> None:
    """No key of a group stays behind when its last peer moves or leaves, or the swarm ends."""

    async def scenario() -> None:
        async with connect(redis.url, connections=1, retries=0) as client:
            swarms = store(client)
            for peer in IN_RACKS:
                await swarms.announce(HASH, peer)
            assert len(await client.keys("*:of:*")) == 6
            for peer in IN_RACKS:
                await swarms.announce(HASH, peer._replace(group=b"one"))
            assert len(await client.keys("*:of:*")) == 2
            for peer in IN_RACKS[::2]:
                await swarms.leave(peer.endpoint, [HASH])
            assert len(await client.keys("*:of:*")) == 1
            await swarms.forget(HASH)
            assert await client.keys() == []

    asyncio.run(scenario())


def test_a_redis_short_of_memory_loses_peers_and_nothing_else(redis: RedisService) -> None:
    """Each key may be dropped at any time; all is whole when everybody has announced again."""

    async def scenario() -> None:
        async with connect(redis.url, connections=1, retries=0) as client:
            swarms = store(client)
            for peer in IN_RACKS:
                await swarms.announce(HASH, peer, want=50)
            keys = sorted(await client.keys())
            assert len(keys) == 4 + 2 + 2 * 3 - 1, "all kinds of keys, but nobody has completed"
            for key in keys:
                await client.unlink(key)
                assert set((await swarms.members(HASH)).peers) <= set(IN_RACKS)
                for peer in IN_RACKS:
                    await swarms.announce(HASH, peer, want=50)
                answer = await swarms.announce(HASH, IN_RACKS[0], want=50)
                assert set((await swarms.members(HASH)).peers) == set(IN_RACKS), key
                assert sum(answer.others) == 20 + 19 == sum(map(len, answer.drawn)) / 6, key

    asyncio.run(scenario())


def test_a_redis_that_is_away_is_unavailable(redis: RedisService) -> None:
    """Whatever was wanted of it; a withdrawn torrent is closed all the same."""
    redis.stop()

    async def scenario() -> None:
        async with connect(redis.url, connections=1, retries=1) as client:
            swarms = store(client)
            for call in (
                swarms.announce(HASH, PEERS[0]),
                swarms.scrape([HASH], IPV4),
                swarms.report(PEERS[0], [(HASH, 1)]),
                swarms.leave(PEERS[0].endpoint, [HASH]),
                swarms.members(HASH),
                swarms.totals(),
                swarms.check(),
                swarms.forget(HASH),
            ):
                with pytest.raises(errors.Unavailable, match="store of swarms"):
                    await call
            assert not swarms.is_open(HASH)

    asyncio.run(scenario())


def test_a_redis_that_was_restarted_is_found_by_the_next_call(redis: RedisService) -> None:
    """Though all connections are gone, and the script with them."""

    async def scenario() -> None:
        async with connect(redis.url, connections=1, retries=1) as client:
            swarms = store(client)
            await swarms.announce(HASH, PEERS[0])
            await asyncio.to_thread(redis.stop)
            await asyncio.to_thread(redis.start)
            answer = await swarms.announce(HASH, PEERS[1], want=5)
            assert sum(answer.counts) == 1
            assert answer.others == Kinds()

    asyncio.run(scenario())
