"""What every store of swarms must do: the contract of ``tracker/swarms/store.py``, on each of them.

Memory has a clock that the test turns. Redis has its own, so there the peers live shortly and the
test waits until Redis says that the time is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.redis_service import redis_service
from tests.unit.tracker import lab
from tests.waiting import until_async
from tracker.bulletin import Bulletin
from tracker.redis_client import connect
from tracker.swarms.memory import MemorySwarms
from tracker.swarms.peer import Endpoint, Peer
from tracker.swarms.redis import RedisSwarms
from tracker.swarms.store import Answer, Counts, Members, Totals

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from tracker.swarms.store import Swarms

HASH, OTHER = b"h" * 20, b"o" * 20
IPV4 = bytes([192, 0, 2, 1])
IPV6 = bytes(15) + b"\x01"


class Stage(NamedTuple):
    """A store with one open swarm, and how time passes for it."""

    swarms: Swarms
    #: Lets a share of a peer's lifetime pass.
    pass_lifetimes: Callable[[float], Awaitable[None]]


@contextlib.asynccontextmanager
async def memory_stage(lifetime_seconds: float) -> AsyncIterator[Stage]:
    """Stage the store in memory."""
    clock = lab.Clock()

    async def pass_lifetimes(count: float) -> None:
        clock.now += count * lifetime_seconds

    swarms = MemorySwarms(lifetime_seconds=lifetime_seconds, clock=clock)
    swarms.open(HASH)
    yield Stage(swarms, pass_lifetimes)


@contextlib.asynccontextmanager
async def redis_stage(url: str, lifetime_seconds: float) -> AsyncIterator[Stage]:
    """Stage the store in an empty Redis."""
    async with connect(url, connections=4, retries=1) as client:
        await client.flushall()

        async def now() -> float:
            seconds, microseconds = await client.time()
            return seconds + microseconds / 1e6

        async def pass_lifetimes(count: float) -> None:
            # Redis counts whole milliseconds.
            end = await now() + count * lifetime_seconds + 0.001

            async def is_over() -> bool:
                return await now() >= end

            await until_async(is_over, what="the lifetime")

        swarms = RedisSwarms(client, Bulletin(client), lifetime_seconds=lifetime_seconds)
        swarms.open(HASH)
        yield Stage(swarms, pass_lifetimes)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a Redis for the tests of this file."""
    with redis_service(tmp_path_factory.mktemp("redis")) as service:
        yield service.url


@pytest.fixture(params=["memory", "redis"])
def stage(
    request: pytest.FixtureRequest,
) -> Callable[[float], contextlib.AbstractAsyncContextManager[Stage]]:
    """Return what opens a store whose peers live so many seconds."""
    if request.param == "memory":
        return memory_stage
    url = request.getfixturevalue("redis_url")
    return lambda seconds: redis_stage(url, seconds)


#: Longer than any test takes.
LONG = 1000.0
Staging = "Callable[[float], contextlib.AbstractAsyncContextManager[Stage]]"


def peer(port: int, *, left: int = 1, address: bytes = IPV4, peer_id: bytes = b"") -> Peer:
    """Return a peer whose id follows from its port unless it is given."""
    return Peer(peer_id or b"%020d" % port, Endpoint(address, port), left)


async def peers(swarms: Swarms, address: bytes = IPV4) -> set[Peer]:
    """Return all peers of a family, as one more is told that has not come before and leaves."""
    asker = peer(65535, address=address, peer_id=b"asker" * 4)
    answer = await swarms.announce(HASH, asker, want=1000)
    await swarms.announce(HASH, asker, has_stopped=True)
    assert len(set(answer.candidates)) == len(answer.candidates), "everybody once"
    return set(answer.candidates)


async def counts(swarms: Swarms, address: bytes = IPV4) -> Counts:
    """Return the counts of the swarm."""
    return (await swarms.scrape([HASH], address))[HASH]


def test_what_a_peer_said_is_what_the_others_are_told(stage: Staging) -> None:
    """Address, port, peer id and bytes left, whatever their bytes are."""
    strange = peer(0x0D0A, left=(1 << 63) - 1, address=bytes([0, 255, 13, 10]), peer_id=bytes(20))

    async def scenario() -> None:
        async with stage(LONG) as (swarms, _):
            answer = await swarms.announce(HASH, strange, want=9)
            assert answer == Answer(Counts(0, 1, 0), [])
            assert await peers(swarms) == {strange}
            changed = peer(0x0D0A, left=5, address=strange.endpoint.address, peer_id=b"x" * 20)
            await swarms.announce(HASH, changed)
            assert await peers(swarms) == {changed}

    asyncio.run(scenario())


def test_no_peer_is_there_after_its_time(stage: Staging) -> None:
    """Neither counted nor drawn, before any sweep; who announced again stays."""

    async def scenario() -> None:
        async with stage(2.0) as (swarms, pass_lifetimes):
            for port, left in ((1, 1), (2, 0), (3, 1), (4, 0)):
                await swarms.announce(HASH, peer(port, left=left))
            assert await counts(swarms) == Counts(2, 2, 0)
            await pass_lifetimes(0.6)
            await swarms.announce(HASH, peer(1))
            await swarms.announce(HASH, peer(2, left=0))
            await pass_lifetimes(0.4)
            assert await counts(swarms) == Counts(1, 1, 0)
            assert await peers(swarms) == {peer(1), peer(2, left=0)}
            await pass_lifetimes(1.0)
            assert await counts(swarms) == Counts(0, 0, 0)
            answer = await swarms.announce(HASH, peer(5), want=9)
            assert answer == Answer(Counts(0, 1, 0), [])

    asyncio.run(scenario())


def test_a_peer_changes_sides_once_it_is_complete(stage: Staging) -> None:
    """It is on one side at a time, and its completion counts once."""

    async def scenario() -> None:
        async with stage(LONG) as (swarms, _):
            await swarms.announce(HASH, peer(1))
            for _ in range(2):  # the second is a repetition after a lost answer
                answer = await swarms.announce(HASH, peer(1, left=0), has_completed=True)
                assert answer.counts == Counts(complete=1, incomplete=0, downloaded=1)
            answer = await swarms.announce(HASH, peer(2), has_completed=True)
            assert answer.counts.downloaded == 1, "it says completed, and still lacks bytes"
            answer = await swarms.announce(HASH, peer(1))
            assert answer.counts == Counts(0, 2, 1), "it lost its bytes, and fetches again"

    asyncio.run(scenario())


def test_a_restarted_client_takes_the_place_of_its_former_run(stage: Staging) -> None:
    """One endpoint, one peer; the farewell of the former run does not remove the new one."""
    old, new = peer(1, peer_id=b"o" * 20), peer(1, left=0, peer_id=b"n" * 20)

    async def scenario() -> None:
        async with stage(LONG) as (swarms, _):
            await swarms.announce(HASH, old)
            await swarms.announce(HASH, new)
            answer = await swarms.announce(HASH, old, has_stopped=True, want=9)
            assert answer == Answer(Counts(1, 0, 0), [])
            assert await peers(swarms) == {new}
            answer = await swarms.announce(HASH, new, has_stopped=True, want=9)
            assert answer == Answer(Counts(0, 0, 0), [])
            assert await peers(swarms) == set()

    asyncio.run(scenario())


def test_families_are_apart(stage: Staging) -> None:
    """The same port on IPv4 and IPv6 is two peers in two swarms."""

    async def scenario() -> None:
        async with stage(LONG) as (swarms, _):
            await swarms.announce(HASH, peer(1))
            await swarms.announce(HASH, peer(1, address=IPV6, left=0), has_completed=True)
            assert await peers(swarms) == {peer(1)}
            assert await peers(swarms, IPV6) == {peer(1, address=IPV6, left=0)}
            assert await counts(swarms) == Counts(0, 1, 0)
            assert await counts(swarms, IPV6) == Counts(1, 0, 1)

    asyncio.run(scenario())


def test_torrents_are_apart(stage: Staging) -> None:
    """A scrape has the counts of each open one, and leaves out the others."""

    async def scenario() -> None:
        async with stage(LONG) as (swarms, _):
            swarms.open(OTHER)
            await swarms.announce(OTHER, peer(1, left=0), has_completed=True)
            found = await swarms.scrape([OTHER, b"x" * 20, HASH], IPV4)
            assert found == {OTHER: Counts(1, 0, 1), HASH: Counts(0, 0, 0)}
            assert await swarms.scrape([b"x" * 20], IPV4) == {}

    asyncio.run(scenario())


@pytest.mark.parametrize(("incomplete", "complete"), [(300, 0), (200, 100), (1, 299), (3, 2)])
@pytest.mark.parametrize("want", [0, 1, 5, 50])
def test_a_sample_is_bounded_and_full(
    stage: Staging, incomplete: int, complete: int, want: int
) -> None:
    """As many as are wanted, or all others if there are no more; never the asker."""

    async def scenario() -> None:
        async with stage(LONG) as (swarms, _):
            for port in range(1, incomplete + complete + 1):
                await swarms.announce(HASH, peer(port, left=int(port <= incomplete)))
            for asker, others in (
                (peer(1), incomplete + complete - 1),
                (peer(400, left=0), incomplete),
            ):
                candidates = (await swarms.announce(HASH, asker, want=want)).candidates
                assert len(candidates) == len(set(candidates)) == min(want, others)
                assert asker not in candidates
                if asker.is_complete:
                    assert not any(candidate.is_complete for candidate in candidates)

    asyncio.run(scenario())


def test_everybody_has_the_same_chance(stage: Staging) -> None:
    """Complete or not, early or late, also after many have left: drawn about equally often."""

    async def scenario() -> None:
        async with stage(LONG) as (swarms, _):
            for port in range(1, 161):
                await swarms.announce(HASH, peer(port, left=port % 4))
            for port in range(1, 121):
                await swarms.announce(HASH, peer(port, left=port % 4), has_stopped=True)
            drawn = dict.fromkeys(range(121, 161), 0)
            for _ in range(1000):
                for found in (await swarms.announce(HASH, peer(500), want=4)).candidates:
                    drawn[found.endpoint.port] += 1
            # 100 each on average, with a standard deviation below 10.
            assert all(45 < count < 155 for count in drawn.values()), drawn

    asyncio.run(scenario())


def test_a_forgotten_swarm_is_closed_and_empty_when_opened_again(stage: Staging) -> None:
    """Nothing of a withdrawn torrent comes back; opening twice changes nothing."""

    async def scenario() -> None:
        async with stage(LONG) as (swarms, _):
            await swarms.announce(HASH, peer(1, left=0), has_completed=True)
            await swarms.announce(HASH, peer(2, address=IPV6))
            swarms.open(HASH)
            assert await counts(swarms) == Counts(1, 0, 1)
            await swarms.forget(HASH)
            assert not swarms.is_open(HASH)
            assert await swarms.announce(HASH, peer(1), want=5) == Answer(Counts(0, 0, 0), [])
            await swarms.announce(HASH, peer(1), has_stopped=True)
            assert await swarms.scrape([HASH], IPV4) == {}
            await swarms.forget(HASH)
            swarms.open(HASH)
            assert await peers(swarms) == await peers(swarms, IPV6) == set()
            assert await counts(swarms) == Counts(0, 0, 0)

    asyncio.run(scenario())


def test_what_the_registry_has_is_what_is_open(stage: Staging) -> None:
    """Restored: missing ones are opened, others closed, and who was in a swarm stays in it."""

    async def scenario() -> None:
        async with stage(LONG) as (swarms, _):
            await swarms.announce(HASH, peer(1))
            swarms.restore([HASH, OTHER])
            assert swarms.is_open(HASH)
            assert swarms.is_open(OTHER)
            assert await peers(swarms) == {peer(1)}
            swarms.restore([OTHER])
            assert not swarms.is_open(HASH)
            assert swarms.is_open(OTHER)
            await swarms.check()

    asyncio.run(scenario())


def test_who_looks_from_outside_sees_all(stage: Staging) -> None:
    """All living peers of a torrent, of both families; and the size of the whole store."""

    async def scenario() -> None:
        async with stage(2.0) as (swarms, pass_lifetimes):
            await swarms.announce(HASH, peer(7))
            await pass_lifetimes(1.0)
            said = [peer(1), peer(2, left=0), peer(1, address=IPV6, left=0)]
            for each in said:
                await swarms.announce(HASH, each, has_completed=each.is_complete)
            found = await swarms.members(HASH)
            assert (set(found.peers), found.downloaded) == (set(said), 2)
            assert len(found.peers) == 3
            assert await swarms.members(OTHER) == Members([], 0)
            swarms.open(OTHER)
            assert await swarms.totals() == Totals(torrents=2, complete=2, incomplete=1)

    asyncio.run(scenario())


def test_announces_at_the_same_moment_do_not_disturb_each_other(stage: Staging) -> None:
    """Every one is counted, each completion once, and each answer is of one moment."""

    async def scenario() -> None:
        async with stage(LONG) as (swarms, _):
            said = [peer(port, left=port % 2) for port in range(1, 201)]
            announces = (
                swarms.announce(HASH, each, has_completed=each.is_complete, want=3)
                for each in itertools.chain(said, said)
            )
            answers = await asyncio.gather(*announces)
            assert await counts(swarms) == Counts(100, 100, 100)
            sizes = [answer.counts.complete + answer.counts.incomplete for answer in answers]
            assert set(sizes) == set(range(1, 201)), "one more with each new peer"
            assert await peers(swarms) == set(said)

    asyncio.run(scenario())
