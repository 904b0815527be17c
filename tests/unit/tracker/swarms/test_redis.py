"""The store in Redis, beyond the contract: what it costs, and what it leaves behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from swarm import errors
from tests.redis_service import redis_service
from tests.waiting import until_async
from tracker.bulletin import Bulletin
from tracker.redis_client import connect
from tracker.swarms.peer import Endpoint, Peer
from tracker.swarms.redis import RedisSwarms

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from redis.asyncio import Redis

    from tests.redis_service import RedisService

HASH = b"h" * 20
PEERS = [Peer(b"%020d" % n, Endpoint(bytes([192, 0, 2, 1]), n), n % 2) for n in range(1, 41)]


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


def test_an_announce_is_one_round_trip(redis: RedisService) -> None:
    """Once Redis knows the script, each announce and each scrape is one command."""

    async def scenario() -> None:
        async with connect(redis.url, connections=1, retries=0) as client:
            swarms = store(client)
            await swarms.announce(HASH, PEERS[0])
            await swarms.scrape([HASH], PEERS[0].endpoint.address)
            await client.config_resetstat()
            for peer in PEERS:
                await swarms.announce(HASH, peer, want=10)
            await swarms.scrape([HASH], PEERS[0].endpoint.address)
            stats = await client.info("commandstats")
            assert stats["cmdstat_evalsha"]["calls"] == len(PEERS) + 1
            # The others that came over the wire; what the scripts call is of other names.
            assert not {"cmdstat_eval", "cmdstat_script|load", "cmdstat_script|exists"} & set(stats)

    asyncio.run(scenario())


def test_everything_has_an_end(redis: RedisService) -> None:
    """Each key is in our name space and expires by itself, without any sweep."""

    async def scenario() -> None:
        async with connect(redis.url, connections=1, retries=0) as client:
            swarms = store(client, lifetime_seconds=1.0)
            for peer in PEERS:
                await swarms.announce(HASH, peer, has_completed=True)
            keys = await client.keys()
            assert len(keys) == 4
            assert all(key.startswith(b"glance-swarm:") for key in keys)
            assert all([await client.ttl(key) >= 0 for key in keys])

            async def only_the_counter_is_left() -> bool:
                return [key.rpartition(b":")[2] for key in await client.keys()] == [b"downloaded"]

            await until_async(only_the_counter_is_left, what="the end of the peers")

    asyncio.run(scenario())


def test_a_redis_that_is_away_is_unavailable(redis: RedisService) -> None:
    """Whatever was wanted of it; a withdrawn torrent is closed all the same."""
    redis.stop()

    async def scenario() -> None:
        async with connect(redis.url, connections=1, retries=1) as client:
            swarms = store(client)
            for call in (
                swarms.announce(HASH, PEERS[0]),
                swarms.scrape([HASH], PEERS[0].endpoint.address),
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
            assert answer.candidates == []
            assert sum(answer.counts) == 1

    asyncio.run(scenario())
