"""The short cut for announces that say nothing new leads where the long way does."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tracker import udp_client
from tests.unit.tracker.lab import Clock
from tests.unit.tracker.udp_client import Announced
from tracker.announce.announce import Announcer, Terms
from tracker.announce.connection_id import ConnectionIds
from tracker.announce.udp_answers import AnnounceUdp
from tracker.handout.table import POLICIES
from tracker.swarms.memory import MemorySwarms

if TYPE_CHECKING:
    from tracker.swarms.peer import Peer

HASHES = [b"a" * 20, b"b" * 20]


class Said(NamedTuple):
    """One announce."""

    node: int
    torrent: int
    left: int
    event: int
    numwant: int
    peer_id: int
    after_seconds: int


announces = st.builds(
    Said,
    node=st.integers(1, 8),
    torrent=st.integers(0, 1),
    left=st.sampled_from([1, 1, 0, 2]),
    event=st.sampled_from([0, 0, 0, 0, 1, 2, 3, 4]),
    numwant=st.sampled_from([-1, 0, 1, 3, 50, 300]),
    peer_id=st.sampled_from([1, 1, 1, 2]),
    after_seconds=st.sampled_from([0, 0, 1, 40]),
)


class Racks:
    """Lets everybody in; every so many nodes are a rack, or nobody has one."""

    def __init__(self, size: int) -> None:
        self._size = size

    def admit(self, key: bytes, address: bytes) -> bytes:
        """Return the rack of an address."""
        del key
        return b"rack %d" % (address[-1] // self._size) if self._size else b""


class Tracker:
    """Answers datagrams, one after the other, on a clock that is turned."""

    def __init__(self, policy: str, racks: int) -> None:
        self.clock = Clock()
        self.swarms = MemorySwarms(lifetime_seconds=75, clock=self.clock, rng=random.Random(1))
        for info_hash in HASHES:
            self.swarms.open(info_hash)
        announcer = Announcer(
            self.swarms, Terms(30, 5, 4, 6), policy=POLICIES[policy], gate=Racks(racks)
        )
        self.ids = ConnectionIds(b"secret", clock=self.clock)
        self.announces = AnnounceUdp(announcer, self.ids)
        self.shortened = 0

    def ask(self, said: Said, *, may_shorten: bool) -> bytes:
        """Return the answer to an announce."""
        self.clock.now += said.after_seconds
        address = bytes([127, 0, 0, said.node])
        data = udp_client.announce_request(
            self.ids.issue(address),
            b"numb",
            HASHES[said.torrent],
            port=said.node,
            peer_id=b"%020d" % said.peer_id,
            left=said.left,
            event=said.event,
            numwant=said.numwant,
        )
        answer = self.announces.renew_now(data, address) if may_shorten else None
        self.shortened += answer is not None
        if answer is None:
            request = self.announces.understand(data, address)
            assert isinstance(request, tuple)
            answer = self.announces.answer_now(request, address)
        return answer

    def members(self) -> list[list[Peer]]:
        """Return everybody in each swarm."""

        async def look() -> list[list[Peer]]:
            return [sorted((await self.swarms.members(h)).peers) for h in HASHES]

        return asyncio.run(look())


def compare(said: list[Said], *, policy: str, racks: int) -> int:
    """Announce to two trackers; they agree but for chance. Returns how often it was short."""
    short, long = Tracker(policy, racks), Tracker(policy, racks)
    for each in said:
        one, other = (
            Announced(tracker.ask(each, may_shorten=tracker is short), is_ipv4=True)
            for tracker in (short, long)
        )
        assert (one.complete, one.incomplete) == (other.complete, other.incomplete)
        assert len(one.peers) == len(other.peers) == (one.size - 20) // 6, "nobody twice"
        assert (f"127.0.0.{each.node}", each.node) not in one.peers
        assert short.members() == long.members()
        known = {(f"127.0.0.{p.endpoint[3]}", p.endpoint[5]) for p in short.members()[each.torrent]}
        assert one.peers <= known
    assert long.shortened == 0
    return short.shortened


@settings(max_examples=60, deadline=None)
@given(st.lists(announces, max_size=60), st.sampled_from(sorted(POLICIES)))
def test_both_ways_lead_to_the_same(said: list[Said], policy: str) -> None:
    """Counts, how many peers, and who is known afterwards; whatever the policy is."""
    compare(said, policy=policy, racks=0)


@settings(max_examples=30, deadline=None)
@given(st.lists(announces, max_size=60))
def test_with_racks_nothing_is_shortened(said: list[Said]) -> None:
    """Those that have one are drawn from apart, which only the long way does."""
    assert compare(said, policy="rack_aware", racks=3) == 0


def test_the_premise_is_that_most_are_shortened() -> None:
    """Of nodes that say again what they said."""
    said = [Said(node, torrent, 1, 0, 50, 1, 0) for node in range(1, 9) for torrent in (0, 1)]
    assert compare(said * 5, policy="rack_aware", racks=0) == 4 * len(said)
