"""What handouts make of a swarm: one that hangs together, whatever its racks.

Each policy goes through the real announcer, with a real store. Nodes of several racks join, leave
and come back; then everybody who is there announces once more, and who was handed whom is a graph.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.redis_service import redis_service
from tracker.announce.announce import Announcer, Terms
from tracker.announce.query import AnnounceQuery, Event
from tracker.bulletin import Bulletin
from tracker.handout.rack_aware import RackAware
from tracker.handout.table import POLICIES
from tracker.redis_client import connect
from tracker.swarms.memory import MemorySwarms
from tracker.swarms.peer import compact, split
from tracker.swarms.redis import RedisSwarms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tracker.handout.policy import Policy
    from tracker.swarms.store import Swarms

HASH = b"h" * 20
#: Few, so that a rack may have more nodes than a handout.
COUNT = 10
MOST_IN_RACK = 15
PORT = 6881


class Node(NamedTuple):
    """A node of one rack; ``number`` tells it from the others of all racks."""

    rack: int
    number: int

    @property
    def address(self) -> bytes:
        """Where it announces from."""
        return bytes([10, self.rack]) + self.number.to_bytes(2, "big")

    @property
    def endpoint(self) -> bytes:
        """Where it accepts peers."""
        return compact(self.address, PORT)


class RackInKey:
    """A gate that finds a node's rack in its key."""

    def admit(self, key: bytes, address: bytes) -> bytes:
        """Return the rack."""
        del address
        return key


#: Who is handed whom.
Graph = dict[Node, set[Node]]


class Town:
    """Racks of nodes that announce to one tracker. The first two nodes of all are complete."""

    def __init__(self, swarms: Swarms, policy: Policy, *, seed: int, count: int = COUNT) -> None:
        terms = Terms(30, 5, default_numwant=count, max_numwant=count)
        self._announcer = Announcer(
            swarms, terms, policy=policy, gate=RackInKey(), rng=random.Random(seed)
        )
        self._source = random.Random(seed)
        self._count = count
        self.present: set[Node] = set()

    async def say(self, node: Node, event: Event = Event.NONE) -> list[bytes]:
        """Announce; returns the endpoints that were handed out."""
        query = AnnounceQuery(
            info_hash=HASH,
            peer_id=node.endpoint.rjust(20, b"-"),
            port=PORT,
            uploaded=0,
            downloaded=0,
            left=int(node.number > 1),
            event=event,
            numwant=None,
        )
        reply = await self._announcer.announce(query, node.address, b"rack-%d" % node.rack)
        return split(reply.peers, 6)

    async def join(self, nodes: Iterable[Node]) -> None:
        """Let nodes come, in any order."""
        for node in self._shuffled(nodes):
            await self.say(node, Event.STARTED)
            self.present.add(node)

    async def leave(self, node: Node) -> None:
        """Let one go."""
        await self.say(node, Event.STOPPED)
        self.present.discard(node)

    async def graph(self) -> Graph:
        """Let everybody announce once; returns who was handed whom."""
        by_endpoint = {node.endpoint: node for node in self.present}
        handed = {}
        for node in self._shuffled(self.present):
            endpoints = await self.say(node)
            assert len(set(endpoints)) == len(endpoints) <= self._count
            handed[node] = {by_endpoint[endpoint] for endpoint in endpoints}
        return handed

    def _shuffled(self, nodes: Iterable[Node]) -> list[Node]:
        some = sorted(nodes)
        self._source.shuffle(some)
        return some


def islands(graph: Graph) -> list[set[Node]]:
    """Return the parts of a graph that do not hang together; a link goes both ways."""
    linked: Graph = {node: set(others) for node, others in graph.items()}
    for node, others in graph.items():
        for other in others:
            linked[other].add(node)
    found, unseen = [], set(graph)
    while unseen:
        island, fringe = set(), {unseen.pop()}
        while fringe:
            node = fringe.pop()
            island.add(node)
            fringe |= linked[node] - island
        unseen -= island
        found.append(island)
    return found


def inhabited(graph: Graph) -> set[int]:
    """Return the racks that somebody is in."""
    return {node.rack for node in graph}


def town_of(sizes: list[int]) -> list[Node]:
    """Return so many nodes for each rack."""
    racks = [rack for rack, size in enumerate(sizes) for _ in range(size)]
    return [Node(rack, number) for number, rack in enumerate(racks)]


#: How many are in each rack; two at least have nodes that lack something.
sizes = st.lists(st.integers(3, MOST_IN_RACK), min_size=2, max_size=5)
#: Who leaves, or comes back, one after the other: numbers to be taken modulo.
events = st.lists(st.integers(0, 99), max_size=12) | st.lists(st.integers(0, 99), min_size=30)
seeds = st.integers(0, 1 << 32)


async def after(town: Town, racks: list[int], sequence: list[int]) -> Graph:
    """Fill a town, let nodes come and go, and return its graph."""
    nodes = town_of(racks)
    await town.join(nodes)
    # The last ones of the last two racks stay, so that there are racks, and something to fetch.
    mobile = nodes[:-1]
    mobile.remove(next(node for node in reversed(nodes) if node.rack == len(racks) - 2))
    for number in sequence:
        node = mobile[number % len(mobile)]
        if node in town.present:
            await town.leave(node)
        else:
            await town.join([node])
    graph = await town.graph()
    assert len(inhabited(graph)) >= 2, "the premise: there are several racks"
    return graph


def look_for_islands(graph: Graph) -> None:
    """Fail if a part of the swarm does not hang together with the rest."""
    assert all(node not in others for node, others in graph.items()), "nobody is handed itself"
    assert len(islands(graph)) == 1


def look_for_bridges(graph: Graph) -> None:
    """Fail if a rack has no link to another one."""
    for rack in inhabited(graph):
        assert any(
            (node.rack == rack) != (other.rack == rack)
            for node, others in graph.items()
            for other in others
        )


def memory() -> MemorySwarms:
    """Return a store with one open swarm."""
    swarms = MemorySwarms(lifetime_seconds=1000, rng=random.Random(7))
    swarms.open(HASH)
    return swarms


@pytest.mark.parametrize("name", POLICIES)
@given(sizes, events, seeds)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_policy_makes_islands(
    name: str, racks: list[int], sequence: list[int], seed: int
) -> None:
    """Whoever joined, left and came back: those present hang together."""
    town = Town(memory(), POLICIES[name], seed=seed)
    graph = asyncio.run(after(town, racks, sequence))
    look_for_islands(graph)
    if name == "rack_aware":
        look_for_bridges(graph)
        assert all(
            any(other.rack != node.rack for other in others) for node, others in graph.items()
        ), "even each single node"


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a Redis for the tests of this file."""
    with redis_service(tmp_path_factory.mktemp("redis")) as service:
        yield service.url


@given(sizes, events, seeds)
@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.too_slow])
def test_there_are_no_islands_in_redis(
    redis_url: str, racks: list[int], sequence: list[int], seed: int
) -> None:
    """The same through the shared store."""

    async def scenario() -> Graph:
        async with connect(redis_url, connections=1, retries=0) as client:
            await client.flushall()
            swarms = RedisSwarms(
                client, Bulletin(client), lifetime_seconds=1000, rng=random.Random(7)
            )
            swarms.open(HASH)
            return await after(Town(swarms, RackAware(), seed=seed), racks, sequence)

    graph = asyncio.run(scenario())
    look_for_islands(graph)
    look_for_bridges(graph)


class NearFirst(RackAware):
    """What rack_aware would be without its quota."""

    def _reserved(self, count: int) -> int:
        del count
        return 0


def test_without_a_quota_each_rack_is_an_island() -> None:
    """The control: these tests can fail, and the quota is what they pass by."""
    town = Town(memory(), NearFirst(), seed=1)
    graph = asyncio.run(after(town, [13, 13, 13], []))
    assert len(islands(graph)) == 3
    with pytest.raises(AssertionError):
        look_for_islands(graph)
    with pytest.raises(AssertionError):
        look_for_bridges(graph)


def test_a_large_swarm_survives_the_loss_of_half_of_its_nodes() -> None:
    """600 nodes, 12 racks, full handouts: few links cross racks, and enough for that."""
    racks = [50] * 12
    town = Town(memory(), RackAware(), seed=2, count=50)
    graph = asyncio.run(after(town, racks, []))
    look_for_islands(graph)
    handed = [(node, other) for node, others in graph.items() for other in others]
    assert len(handed) == 50 * 600
    assert sum(node.rack != other.rack for node, other in handed) == 4 * 600
    alive = set(random.Random(3).sample(sorted(graph), 300))
    look_for_islands({node: graph[node] & alive for node in alive})
