"""Who has what, in this process's memory: the store of a tracker that is alone.

The contract is in ``store.py``. Whatever does not wait is offered without a coroutine too, for
callers that answer a thousand datagrams in one turn of the event loop.

A tracker of a large cloud holds half a million peers, so a peer is two short byte strings: its
endpoint in compact form (BEP 23), which is the key, and a packed record. Nothing of it is looked at
by the garbage collector, and all of it takes some 250 bytes (a test holds it below 300).

Every peer lives equally long after its last announce, and an announce moves it to the end of its
dictionary. So the first ones are the next to expire, and dropping them before each look costs next
to nothing.
"""

from __future__ import annotations

import random
import struct
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from tracker.swarms.draw import share
from tracker.swarms.peer import Endpoint, Peer
from tracker.swarms.store import NOBODY, Answer, Counts, Members, Totals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: Peer id, bytes left, and when it expires on the store's clock.
_RECORD = struct.Struct(">20sQd")
_EXPIRES_AT = struct.Struct(">28xd")
_PEER_ID_BYTES = 20
#: Of those that are gone, one for each so many that are not may stand in the list to draw from,
_PRESENT_PER_GONE = 4
#: and so many in any case, so that a small swarm is not tidied at each step.
_GONE_ANYWAY = 16
#: So many times what is drawn, and few are drawn twice.
_MANY = 4


class _Members:
    """The peers of one torrent and family that are complete, or those that are not.

    A dictionary can't be drawn from by position; a list can. The list holds each endpoint of the
    dictionary, and some that are gone: they are passed over when they are drawn, and removed when
    there are too many.
    """

    __slots__ = ("_endpoints", "_records")

    def __init__(self) -> None:
        self._records: OrderedDict[bytes, bytes] = OrderedDict()
        self._endpoints: list[bytes] = []

    def __len__(self) -> int:
        return len(self._records)

    def find(self, endpoint: bytes) -> bytes | None:
        return self._records.get(endpoint)

    def put(self, endpoint: bytes, record: bytes) -> None:
        if endpoint in self._records:
            self._records[endpoint] = record
            self._records.move_to_end(endpoint)
        else:
            self._records[endpoint] = record
            self._endpoints.append(endpoint)

    def drop(self, endpoint: bytes) -> None:
        if self._records.pop(endpoint, None) is not None:
            self._tidy()

    def drop_expired(self, now: float) -> int:
        """Drop who is over and return how many."""
        before = len(self._records)
        while self._records:
            oldest = next(iter(self._records))
            if _EXPIRES_AT.unpack(self._records[oldest])[0] > now:
                break
            del self._records[oldest]
        dropped = before - len(self._records)
        if dropped:
            self._tidy()
        return dropped

    def draw(self, count: int, rng: random.Random) -> list[bytes]:
        """Return ``count`` endpoints at random, or all if there are no more."""
        if count >= len(self._records):
            return list(self._records)
        # Enough that, with the most that may be gone among them, ``count`` remain but by a miracle.
        drawn = count + count // 2 + _GONE_ANYWAY + 8
        if len(self._endpoints) < _MANY * drawn:
            return rng.sample(list(self._records), count)
        # With replacement, which is several times as fast; and one that left and came back may
        # stand in the list twice. So each is taken once.
        found = dict.fromkeys(rng.choices(self._endpoints, k=drawn))
        return [endpoint for endpoint in found if endpoint in self._records][:count]

    def peers(self, endpoints: Iterable[bytes]) -> list[Peer]:
        return [_peer(endpoint, self._records[endpoint]) for endpoint in endpoints]

    def all_peers(self) -> list[Peer]:
        return self.peers(self._records)

    def _tidy(self) -> None:
        present = len(self._records)
        if len(self._endpoints) > present + present // _PRESENT_PER_GONE + _GONE_ANYWAY:
            self._endpoints = list(self._records)


def _peer(endpoint: bytes, record: bytes) -> Peer:
    peer_id, left, _ = _RECORD.unpack(record)
    return Peer(peer_id, Endpoint(endpoint[:-2], int.from_bytes(endpoint[-2:], "big")), left)


class _Swarm:
    """The peers of one torrent in one address family."""

    __slots__ = ("complete", "downloaded", "incomplete")

    def __init__(self) -> None:
        self.complete = _Members()
        self.incomplete = _Members()
        self.downloaded = 0

    def counts(self) -> Counts:
        return Counts(len(self.complete), len(self.incomplete), self.downloaded)

    def put(self, endpoint: bytes, peer: Peer, expires_at: float) -> None:
        kind, other = self.incomplete, self.complete
        if peer.is_complete:
            kind, other = other, kind
        other.drop(endpoint)
        kind.put(endpoint, _RECORD.pack(peer.peer_id, peer.left, expires_at))

    def drop(self, endpoint: bytes, peer_id: bytes) -> None:
        for members in (self.complete, self.incomplete):
            record = members.find(endpoint)
            if record is not None and record[:_PEER_ID_BYTES] == peer_id:
                members.drop(endpoint)

    def drop_expired(self, now: float) -> int:
        return self.complete.drop_expired(now) + self.incomplete.drop_expired(now)

    def draw(self, asker: Peer, want: int, rng: random.Random) -> list[Peer]:
        own = asker.endpoint.compact
        # The asker itself may be drawn, and is left out afterwards: so one more.
        most = want + 1
        if asker.is_complete:
            found = [(self.incomplete, self.incomplete.draw(want, rng))]
        else:
            first, second = len(self.incomplete), len(self.complete)
            count = share(first, second, most, fraction=rng.random())
            found = [
                (self.incomplete, self.incomplete.draw(count, rng)),
                (self.complete, self.complete.draw(most - count, rng)),
            ]
        peers = [p for members, keys in found for p in members.peers(k for k in keys if k != own)]
        if len(peers) > want:
            del peers[rng.randrange(len(peers))]
        return peers


class _Families(NamedTuple):
    ipv4: _Swarm
    ipv6: _Swarm

    def of(self, address: bytes) -> _Swarm:
        return self.ipv4 if len(address) == 4 else self.ipv6  # noqa: PLR2004 - bytes of IPv4


class MemorySwarms:
    """The store of one process.

    ``lifetime_seconds`` is how long a peer is believed after its last announce; ``clock`` returns
    monotonic seconds.
    """

    def __init__(
        self,
        *,
        lifetime_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._lifetime_seconds = lifetime_seconds
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 - it spreads load and keeps no secret
        self._swarms: dict[bytes, _Families] = {}

    def open(self, announce_hash: bytes) -> None:
        """Admit announces for a torrent; one that is open stays as it is."""
        if announce_hash not in self._swarms:
            self._swarms[announce_hash] = _Families(_Swarm(), _Swarm())

    async def forget(self, announce_hash: bytes) -> None:
        """Close a swarm and forget its peers."""
        self._swarms.pop(announce_hash, None)

    def restore(self, announce_hashes: Iterable[bytes]) -> None:
        """Have exactly these open."""
        wanted = set(announce_hashes)
        for announce_hash in self._swarms.keys() - wanted:
            del self._swarms[announce_hash]
        for announce_hash in wanted:
            self.open(announce_hash)

    def is_open(self, announce_hash: bytes) -> bool:
        """Return whether the torrent is published."""
        return announce_hash in self._swarms

    async def announce(
        self,
        announce_hash: bytes,
        peer: Peer,
        *,
        has_completed: bool = False,
        has_stopped: bool = False,
        want: int = 0,
    ) -> Answer:
        """Do as :meth:`announce_now`, which does not wait."""
        return self.announce_now(
            announce_hash, peer, has_completed=has_completed, has_stopped=has_stopped, want=want
        )

    def announce_now(
        self,
        announce_hash: bytes,
        peer: Peer,
        *,
        has_completed: bool = False,
        has_stopped: bool = False,
        want: int = 0,
    ) -> Answer:
        """Take down what ``peer`` said just now, and draw others; the rules are in the contract."""
        swarm = self._look(announce_hash, peer.endpoint.address)
        if swarm is None:
            return Answer(NOBODY, [])
        endpoint = peer.endpoint.compact
        if has_stopped:
            swarm.drop(endpoint, peer.peer_id)
            return Answer(swarm.counts(), [])
        if has_completed and peer.is_complete and swarm.complete.find(endpoint) is None:
            swarm.downloaded += 1
        swarm.put(endpoint, peer, self._clock() + self._lifetime_seconds)
        return Answer(swarm.counts(), swarm.draw(peer, want, self._rng) if want > 0 else [])

    async def scrape(self, announce_hashes: Iterable[bytes], address: bytes) -> dict[bytes, Counts]:
        """Do as :meth:`scrape_now`, which does not wait."""
        return self.scrape_now(announce_hashes, address)

    def scrape_now(self, announce_hashes: Iterable[bytes], address: bytes) -> dict[bytes, Counts]:
        """Return the counts of each open swarm among these, in the family of ``address``."""
        looked = ((key, self._look(key, address)) for key in announce_hashes)
        return {key: swarm.counts() for key, swarm in looked if swarm is not None}

    async def members(self, announce_hash: bytes) -> Members:
        """Return all peers of a torrent, of both families."""
        if announce_hash not in self._swarms:
            return Members([], 0)
        families = self._swarms[announce_hash]
        now = self._clock()
        for swarm in families:
            swarm.drop_expired(now)
        kinds = [kind for swarm in families for kind in (swarm.complete, swarm.incomplete)]
        peers = [peer for kind in kinds for peer in kind.all_peers()]
        return Members(peers, sum(swarm.downloaded for swarm in families))

    async def totals(self) -> Totals:
        """Return how many torrents are open, and their peers."""
        self.sweep()
        counts = [swarm.counts() for families in self._swarms.values() for swarm in families]
        return Totals(
            len(self._swarms),
            sum(count.complete for count in counts),
            sum(count.incomplete for count in counts),
        )

    async def check(self) -> None:
        """Return: memory is always there."""

    def sweep(self) -> int:
        """Drop every expired peer and return how many: frees swarms that nobody asks about."""
        now = self._clock()
        return sum(
            swarm.drop_expired(now) for families in self._swarms.values() for swarm in families
        )

    def _look(self, announce_hash: bytes, address: bytes) -> _Swarm | None:
        families = self._swarms.get(announce_hash)
        if families is None:
            return None
        swarm = families.of(address)
        swarm.drop_expired(self._clock())
        return swarm
