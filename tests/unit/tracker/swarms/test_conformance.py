"""What every store of swarms must do: the contract of ``tracker/swarms/store.py``, on each of them.

Memory has a clock that the test turns. Redis has its own, so there the peers live shortly and the
test waits until Redis says that the time is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.redis_service import redis_service
from tests.unit.tracker import lab
from tests.waiting import until_async
from tracker.bulletin import Bulletin
from tracker.handout.policy import Kinds
from tracker.redis_client import connect
from tracker.swarms.memory import MemorySwarms
from tracker.swarms.peer import Peer, compact, split
from tracker.swarms.redis import RedisSwarms
from tracker.swarms.store import NOTHING, SILENCE, Answer, Counts, Members, Totals

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


def peer(
    port: int, *, left: int = 1, address: bytes = IPV4, peer_id: bytes = b"", group: bytes = b""
) -> Peer:
    """Return a peer whose id follows from its port unless it is given."""
    return Peer(peer_id or b"%020d" % port, compact(address, port), left, group)


def drawn(answer: Answer, width: int = 6) -> list[list[bytes]]:
    """Return the endpoints of each kind that were drawn, having looked that each comes once."""
    kinds = [split(endpoints, width) for endpoints in answer.drawn]
    everybody = [endpoint for kind in kinds for endpoint in kind]
    assert len(set(everybody)) == len(everybody), "everybody once"
    assert all(len(kind) <= count for kind, count in zip(kinds, answer.others, strict=True))
    return kinds


def ports(answer: Answer, width: int = 6) -> list[set[int]]:
    """Return the ports of those that were drawn: near complete, near incomplete, and far so."""
    return [{int.from_bytes(each[-2:], "big") for each in kind} for kind in drawn(answer, width)]


async def peers(swarms: Swarms, address: bytes = IPV4) -> set[Peer]:
    """Return all peers of a family, having looked that everybody is there once."""
    found = (await swarms.members(HASH)).peers
    assert len(set(found)) == len(found), "everybody once"
    return {each for each in found if len(each.endpoint) == len(address) + 2}


async def counts(swarms: Swarms, address: bytes = IPV4) -> Counts:
    """Return the counts of the swarm."""
    return (await swarms.scrape([HASH], address))[HASH]


def test_what_a_peer_said_is_what_the_others_are_told(stage: Staging) -> None:
    """Address, port, peer id, bytes left and group, whatever their bytes are."""
    strange = peer(0x0D0A, left=(1 << 63) - 1, address=bytes([0, 255, 13, 10]), peer_id=bytes(20))

    async def scenario() -> None:
        async with stage(LONG) as (swarms, _):
            answer = await swarms.announce(HASH, strange, want=9)
            assert answer == Answer(Counts(0, 1, 0), Kinds(), NOTHING)
            assert await peers(swarms) == {strange}
            answer = await swarms.announce(HASH, peer(2), want=9)
            assert answer.drawn.far_incomplete == strange.endpoint
            changed = strange._replace(left=5, peer_id=b"x" * 20, group=b"\0\xff")
            await swarms.announce(HASH, changed)
            assert await peers(swarms) == {changed, peer(2)}

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
            answer = await swarms.announce(HASH, peer(5), want=9)
            assert answer.others == Kinds(far_complete=1, far_incomplete=1)
            assert ports(answer) == [set(), set(), {2}, {1}]
            await pass_lifetimes(1.0)
            assert await counts(swarms) == Counts(0, 0, 0)
            answer = await swarms.announce(HASH, peer(6), want=9)
            assert answer == Answer(Counts(0, 1, 0), Kinds(), NOTHING)

    asyncio.run(scenario())


def test_no_peer_is_in_its_group_after_its_time(stage: Staging) -> None:
    """Neither near nor far, nor does a group draw anybody of which all are over."""

    async def scenario() -> None:
        async with stage(2.0) as (swarms, pass_lifetimes):
            said = [peer(n, left=n % 2, group=b"abc"[n % 3 : n % 3 + 1]) for n in range(1, 13)]
            for each in said:
                await swarms.announce(HASH, each)
            await pass_lifetimes(0.6)
            alive = {1, 2, 3, 4, 5, 6}
            for each in said[:6]:
                await swarms.announce(HASH, each)
            await swarms.announce(HASH, peer(6, left=1, group=b"a"))
            await pass_lifetimes(0.4)
            answer = await swarms.announce(HASH, peer(20, group=b"a"), want=50)
            assert answer.counts == Counts(complete=2, incomplete=5, downloaded=0)
            assert ports(answer) == [set(), {3, 6}, {2, 4}, {1, 5}]
            assert answer.others == Kinds(0, 2, 2, 2)
            assert {int.from_bytes(p.endpoint[-2:], "big") for p in await peers(swarms)} == {
                *alive,
                20,
            }
            await pass_lifetimes(0.6)
            answer = await swarms.announce(HASH, peer(21, group=b"b"), want=50)
            assert (answer.others, ports(answer)) == (
                Kinds(0, 0, 0, 1),
                [set(), set(), set(), {20}],
            )

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
    old, new = peer(1, peer_id=b"o" * 20), peer(1, left=0, peer_id=b"n" * 20, group=b"rack")

    async def scenario() -> None:
        async with stage(LONG) as (swarms, _):
            await swarms.announce(HASH, old)
            await swarms.announce(HASH, new)
            answer = await swarms.announce(HASH, old, has_stopped=True, want=9)
            assert (answer.counts, answer.drawn) == (Counts(1, 0, 0), NOTHING)
            assert await peers(swarms) == {new}
            answer = await swarms.announce(HASH, new, has_stopped=True, want=9)
            assert (answer.counts, answer.drawn) == (Counts(0, 0, 0), NOTHING)
            assert await peers(swarms) == set()

    asyncio.run(scenario())


def test_families_are_apart(stage: Staging) -> None:
    """The same port on IPv4 and IPv6 is two peers in two swarms, whatever their group."""

    async def scenario() -> None:
        async with stage(LONG) as (swarms, _):
            four, six = peer(1, group=b"r"), peer(1, address=IPV6, left=0, group=b"r")
            await swarms.announce(HASH, four)
            await swarms.announce(HASH, six, has_completed=True)
            assert await peers(swarms) == {four}
            assert await peers(swarms, IPV6) == {six}
            assert await counts(swarms) == Counts(0, 1, 0)
            assert await counts(swarms, IPV6) == Counts(1, 0, 1)
            answer = await swarms.announce(HASH, peer(2, group=b"r"), want=9)
            assert answer.drawn == NOTHING._replace(near_incomplete=four.endpoint)
            answer = await swarms.announce(HASH, peer(2, address=IPV6, group=b"r"), want=9)
            assert answer.drawn == NOTHING._replace(near_complete=six.endpoint)
            await swarms.leave(six.endpoint, [HASH])
            assert four in await peers(swarms)

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
    """Of each kind as many as are wanted, or all others if there are no more; never the asker."""

    async def scenario() -> None:
        async with stage(LONG) as (swarms, _):
            for port in range(1, incomplete + complete + 1):
                await swarms.announce(HASH, peer(port, left=int(port <= incomplete)))
            for asker, others in (
                (peer(1), Kinds(0, 0, complete, incomplete - 1)),
                (peer(400, left=0), Kinds(0, 0, 0, incomplete)),
            ):
                answer = await swarms.announce(HASH, asker, want=want)
                assert answer.others == (others if want else Kinds())
                kinds = drawn(answer)
                assert [len(kind) for kind in kinds] == [min(want, each) for each in others]
                assert not any(asker.endpoint in kind for kind in kinds)

    asyncio.run(scenario())


def test_everybody_has_the_same_chance(stage: Staging) -> None:
    """Complete or not, early or late, also after many have left: drawn about equally often.

    And so are the first of a sample.
    """

    async def scenario() -> None:
        async with stage(LONG) as (swarms, _):
            for port in range(1, 161):
                await swarms.announce(HASH, peer(port, left=port % 2))
            for port in range(1, 121):
                await swarms.announce(HASH, peer(port, left=port % 2), has_stopped=True)
            first = dict.fromkeys(range(121, 161), 0)
            whole = dict.fromkeys(range(121, 161), 0)
            for _ in range(1000):
                for kind in drawn(await swarms.announce(HASH, peer(500), want=10)):
                    for place, endpoint in enumerate(kind):
                        port = int.from_bytes(endpoint[-2:], "big")
                        whole[port] += 1
                        first[port] += place < 2
            # 500 and 100 each on average, with standard deviations below 16 and 10.
            assert all(420 < count < 580 for count in whole.values()), whole
            assert all(45 < count < 155 for count in first.values()), first

    asyncio.run(scenario())


@pytest.mark.parametrize("groups", [1, 2, 3, 7, 40])
@pytest.mark.parametrize("want", [1, 4, 50])
def test_near_and_far_are_counted_and_drawn_apart(stage: Staging, groups: int, want: int) -> None:
    """Those of the asker's group are near, all others far; as many of each kind as are wanted."""
    said = [peer(n, left=n % 3 % 2, group=b"rack-%d" % (n % groups)) for n in range(1, 121)]
    said += [peer(n, left=n % 2) for n in range(121, 141)]

    async def scenario() -> None:
        async with stage(LONG) as (swarms, _):
            for each in said:
                await swarms.announce(HASH, each)
            for asker in (said[0], said[2], said[130], peer(999, group=b"rack-0"), peer(998)):
                answer = await swarms.announce(HASH, asker, want=want)
                await swarms.announce(HASH, asker, has_stopped=asker not in said)
                rest = [each for each in said if each.endpoint != asker.endpoint]
                near = [each for each in rest if asker.group and each.group == asker.group]
                far = [each for each in rest if each not in near]
                expected = [
                    {e.endpoint for e in some if e.is_complete == is_complete}
                    if not (is_complete and asker.is_complete)
                    else set()
                    for some in (near, far)
                    for is_complete in (True, False)
                ]
                assert answer.others == Kinds(*map(len, expected))
                for kind, eligible in zip(drawn(answer), expected, strict=True):
                    assert set(kind) <= eligible
                    assert len(kind) == min(want, len(eligible))

    asyncio.run(scenario())


@pytest.mark.parametrize("asker_group", [b"mine", b""])
def test_far_peers_are_spread_over_the_groups(stage: Staging, asker_group: bytes) -> None:
    """Each other group is drawn as often, large or small; and in one answer as many as there are.

    Those of no group are one group more.
    """
    sizes = {b"large": 90, b"small": 5, b"mine": 30, b"": 20}

    async def scenario() -> None:
        async with stage(LONG) as (swarms, _):
            group_of = {}
            for group, size in sizes.items():
                for _ in range(size):
                    each = peer(len(group_of) + 1, group=group)
                    group_of[each.endpoint] = group
                    await swarms.announce(HASH, each)
            asker = peer(999, group=asker_group)
            others = [group for group in sizes if not (asker_group and group == asker_group)]
            drawn_first = dict.fromkeys(others, 0)
            for _ in range(600):
                answer = await swarms.announce(HASH, asker, want=4)
                far = [group_of[endpoint] for endpoint in drawn(answer)[3]]
                assert set(far) == set(others), "one of each at least"
                drawn_first[far[0]] += 1
            mean = 600 / len(others)
            # The standard deviation is below 12.
            assert all(abs(count - mean) < 70 for count in drawn_first.values()), drawn_first

    asyncio.run(scenario())


def test_of_many_groups_some_are_drawn(stage: Staging) -> None:
    """One peer of each, other ones each time; also if most groups have been left by all."""

    async def scenario() -> None:
        async with stage(LONG) as (swarms, _):
            for n in range(1, 201):
                await swarms.announce(HASH, peer(n, group=b"rack-%d" % (n % 100)))
            seen = set()
            for _ in range(200):
                (far,) = [k for k in ports(await swarms.announce(HASH, peer(999), want=5)) if k]
                assert len({n % 100 for n in far}) == 5
                seen |= far
            assert len(seen) > 150, "200 on average but for a few"
            for n in range(1, 201):
                if n % 100 >= 3:
                    await swarms.leave(peer(n).endpoint, [HASH])
            for want in (1, 5, 6, 50):
                answer = await swarms.announce(HASH, peer(999), want=want)
                assert answer.others == Kinds(far_incomplete=6)
                assert len(drawn(answer)[3]) == min(want, 6)

    asyncio.run(scenario())


def test_a_peer_moves_to_the_group_that_it_names_now(stage: Staging) -> None:
    """It is in one group at a time, or in none; while it completes, too."""

    async def scenario() -> None:
        async with stage(LONG) as (swarms, _):
            await swarms.announce(HASH, peer(1, left=0))
            await swarms.announce(HASH, peer(2))
            for moved in (
                peer(2, group=b"a"),
                peer(2, group=b"b"),
                peer(2, group=b"a", left=0),
                peer(2, group=b"b"),
                peer(2),
                peer(2, left=0),
                peer(2, group=b"b", left=0),
            ):
                await swarms.announce(HASH, moved)
                assert await peers(swarms) == {peer(1, left=0), moved}
                for asker in (peer(9), peer(9, group=b"a"), peer(9, group=b"b")):
                    answer = await swarms.announce(HASH, asker, want=9)
                    kind = 2 * (not asker.group or moved.group != asker.group) + bool(moved.left)
                    expected: list[set[int]] = [set(), set(), {1}, set()]
                    expected[kind] = expected[kind] | {2}
                    assert ports(answer) == expected, (moved, asker)
                    assert answer.others == Kinds(*map(len, expected))
                await swarms.leave(peer(9).endpoint, [HASH])

    asyncio.run(scenario())


def test_a_group_has_any_name(stage: Staging) -> None:
    """Bytes that mean something elsewhere, none that is text, and long ones: all are different."""
    names = [b"\0", b"a", b"a:b", b"61", b"groups", b"*", b"\xff\xfe", b" ", b"r" * 255, b"\r\n"]

    async def scenario() -> None:
        async with stage(LONG) as (swarms, _):
            said = {peer(n, group=name) for n, name in enumerate(names, 1)}
            for each in said:
                await swarms.announce(HASH, each)
            assert await peers(swarms) == said
            for n, name in enumerate(names, 1):
                answer = await swarms.announce(HASH, peer(99, group=name), want=50)
                assert ports(answer)[1] == {n}
                assert answer.others.far_incomplete == len(names) - 1

    asyncio.run(scenario())


def test_a_report_is_an_announce_in_each_torrent(stage: Staging) -> None:
    """With the bytes that are left in each; those that are not open are passed over."""
    hashes = [b"%020d" % n for n in range(600)]

    async def scenario() -> None:
        async with stage(LONG) as (swarms, _):
            for each in hashes:
                swarms.open(each)
            node = peer(7, left=12345, group=b"rack")
            holdings = [(each, n % 3) for n, each in enumerate(hashes)]
            await swarms.report(node, [(b"x" * 20, 1), *holdings, (b"y" * 20, 0)])
            found = await swarms.scrape(hashes, IPV4)
            assert found == {
                each: Counts(int(left == 0), int(left > 0), 0) for each, left in holdings
            }
            assert not swarms.is_open(b"x" * 20)
            assert await swarms.scrape([b"x" * 20], IPV4) == {}
            for each, left in holdings[:3]:
                assert (await swarms.members(each)).peers == [node._replace(left=left)]
            assert await swarms.totals() == Totals(601, 200, 400)
            await swarms.report(node, [])

    asyncio.run(scenario())


def test_a_report_changes_what_an_announce_said(stage: Staging) -> None:
    """Left and group are those of the report; that bytes are there now is no completion."""

    async def scenario() -> None:
        async with stage(LONG) as (swarms, _):
            await swarms.announce(HASH, peer(1))
            await swarms.announce(HASH, peer(2, group=b"b"))
            for left, group in ((0, b"a"), (5, b"b"), (0, b""), (1, b"a")):
                await swarms.report(peer(1, left=9, group=group), [(HASH, left)])
                assert await peers(swarms) == {
                    peer(1, left=left, group=group),
                    peer(2, group=b"b"),
                }
                assert await counts(swarms) == Counts(int(left == 0), 1 + int(left > 0), 0)
            answer = await swarms.announce(HASH, peer(1, left=0, group=b"a"), has_completed=True)
            assert answer.counts == Counts(1, 1, 1)

    asyncio.run(scenario())


def test_a_node_that_is_renewed_keeps_all_that_it_reported(stage: Staging) -> None:
    """For a lifetime from then on, joined or reported; what only announced ends meanwhile."""

    async def scenario() -> None:
        async with stage(2.0) as (swarms, pass_lifetimes):
            swarms.open(OTHER)
            node, client = peer(1), peer(2)
            await swarms.announce(HASH, node, is_reported=True)
            await swarms.report(node, [(OTHER, 0)])
            await swarms.announce(HASH, client)
            await pass_lifetimes(0.6)
            await swarms.renew(node, [(HASH, 1), (OTHER, 0)])
            assert await swarms.totals() == Totals(torrents=2, complete=1, incomplete=2)
            await pass_lifetimes(0.6)
            assert await swarms.totals() == Totals(torrents=2, complete=1, incomplete=1)
            await swarms.leave(node.endpoint, [OTHER])
            await swarms.renew(node, [(HASH, 1)])
            assert await swarms.totals() == Totals(torrents=2, complete=0, incomplete=1)
            await pass_lifetimes(1.0)
            assert await swarms.totals() == Totals(torrents=2, complete=0, incomplete=0)
            await swarms.renew(node, [(HASH, 1), (OTHER, 0)])
            assert await swarms.totals() == Totals(torrents=2, complete=1, incomplete=1)

    asyncio.run(scenario())


def test_a_report_keeps_a_peer_alive_for_a_lifetime(stage: Staging) -> None:
    """Neither shorter nor longer; the others of its group expire meanwhile."""

    async def scenario() -> None:
        async with stage(2.0) as (swarms, pass_lifetimes):
            swarms.open(OTHER)
            node, silent = peer(1, group=b"a"), peer(2, group=b"a")
            await swarms.report(node, [(HASH, 1), (OTHER, 0)])
            await swarms.report(silent, [(HASH, 1)])
            await pass_lifetimes(0.6)
            await swarms.report(node, [(HASH, 1), (OTHER, 0)])
            assert await counts(swarms) == Counts(0, 2, 0)
            await pass_lifetimes(0.6)
            assert await peers(swarms) == {node}
            assert await swarms.totals() == Totals(torrents=2, complete=1, incomplete=1)
            answer = await swarms.announce(HASH, peer(3, group=b"a"), want=9)
            assert answer.others == Kinds(near_incomplete=1)
            await pass_lifetimes(0.4)
            assert await peers(swarms) == {peer(3, group=b"a")}

    asyncio.run(scenario())


def test_who_leaves_is_forgotten_where_it_says(stage: Staging) -> None:
    """Whatever its peer id was; in these torrents alone; what is not known is passed over."""

    async def scenario() -> None:
        async with stage(LONG) as (swarms, _):
            swarms.open(OTHER)
            for each in (HASH, OTHER):
                await swarms.announce(each, peer(1, peer_id=b"p" * 20, group=b"a"))
                await swarms.announce(each, peer(2, left=0))
            await swarms.leave(peer(1).endpoint, [HASH, b"x" * 20])
            await swarms.leave(peer(3).endpoint, [HASH, OTHER])
            await swarms.leave(peer(2).endpoint, [])
            assert await swarms.scrape([HASH, OTHER], IPV4) == {
                HASH: Counts(1, 0, 0),
                OTHER: Counts(1, 1, 0),
            }
            answer = await swarms.announce(HASH, peer(9, group=b"a"), want=9)
            assert (answer.others, ports(answer)) == (Kinds(0, 0, 1, 0), [set(), set(), {2}, set()])

    asyncio.run(scenario())


def test_a_forgotten_swarm_is_closed_and_empty_when_opened_again(stage: Staging) -> None:
    """Nothing of a withdrawn torrent comes back; opening twice changes nothing."""

    async def scenario() -> None:
        async with stage(LONG) as (swarms, _):
            await swarms.announce(HASH, peer(1, left=0, group=b"a"), has_completed=True)
            await swarms.announce(HASH, peer(2, address=IPV6))
            swarms.open(HASH)
            assert await counts(swarms) == Counts(1, 0, 1)
            await swarms.forget(HASH)
            assert not swarms.is_open(HASH)
            assert await swarms.announce(HASH, peer(1), want=5) == SILENCE
            await swarms.announce(HASH, peer(1), has_stopped=True)
            await swarms.report(peer(1), [(HASH, 1)])
            await swarms.leave(peer(1).endpoint, [HASH])
            assert await swarms.scrape([HASH], IPV4) == {}
            await swarms.forget(HASH)
            swarms.open(HASH)
            assert await peers(swarms) == await peers(swarms, IPV6) == set()
            assert await counts(swarms) == Counts(0, 0, 0)
            answer = await swarms.announce(HASH, peer(3, group=b"a"), want=9)
            assert answer == Answer(Counts(0, 1, 0), Kinds(), NOTHING)

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
            said = [peer(1, group=b"a"), peer(2, left=0), peer(1, address=IPV6, left=0)]
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
            said = [peer(port, left=port % 2, group=b"r%d" % (port % 5)) for port in range(1, 201)]
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


@pytest.mark.parametrize("seed", range(4))
def test_a_store_agrees_with_a_plain_dictionary(stage: Staging, seed: int) -> None:
    """Peers come, move, complete, report and leave at random; after each step all figures agree."""
    source = random.Random(seed)
    groups = [b"", b"a", b"b", b"c"][: 1 + seed]

    async def scenario() -> None:
        async with stage(LONG) as (swarms, _):
            model: dict[bytes, Peer] = {}
            for _ in range(250):
                said = peer(
                    source.randrange(1, 25), left=source.randrange(2), group=source.choice(groups)
                )
                step = source.randrange(5)
                if step == 0:
                    await swarms.leave(said.endpoint, [HASH])
                    model.pop(said.endpoint, None)
                elif step == 1:
                    await swarms.report(said, [(HASH, said.left)])
                    model[said.endpoint] = said
                elif step == 2:
                    await swarms.announce(HASH, said, has_stopped=True)
                    model.pop(said.endpoint, None)
                else:
                    answer = await swarms.announce(HASH, said, want=source.randrange(1, 30))
                    model[said.endpoint] = said
                    drawn(answer)
                    assert answer.others == others(model, said)
                    assert all(e in model for kind in drawn(answer) for e in kind)
                assert await peers(swarms) == set(model.values())
                complete = sum(each.is_complete for each in model.values())
                assert await counts(swarms) == Counts(complete, len(model) - complete, 0)

    asyncio.run(scenario())


def others(model: dict[bytes, Peer], asker: Peer) -> Kinds:
    """Return how many of each kind there are for one asker."""
    numbers = [0, 0, 0, 0]
    for each in model.values():
        is_near = bool(asker.group) and each.group == asker.group
        if each.endpoint != asker.endpoint and not (asker.is_complete and each.is_complete):
            numbers[2 * (not is_near) + (not each.is_complete)] += 1
    return Kinds(*numbers)
