"""Who has what, in this process's memory: the store of a tracker that is alone.

The contract is in ``store.py``. Whatever does not wait is offered without a coroutine too, for
callers that answer a thousand datagrams in one turn of the event loop.

A swarm is in ``swarm.py``; here are all of them, by torrent and family.

What a node reports on its control channel does not expire by itself, but all at once, with the
node's lease (``leases.py``): so a node that says "as before" costs one step, however many torrents
it holds.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, NamedTuple

from tracker.swarms.leases import Leases
from tracker.swarms.members import NEVER
from tracker.swarms.peer import COMPACT_IPV4_BYTES, COMPACT_IPV6_BYTES, IPV4_BYTES, Peer
from tracker.swarms.store import SILENCE, Answer, Counts, Members, Totals
from tracker.swarms.swarm import Swarm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class _Families(NamedTuple):
    ipv4: Swarm
    ipv6: Swarm


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
        self._leases = Leases()

    def open(self, announce_hash: bytes) -> None:
        """Admit announces for a torrent; one that is open stays as it is."""
        if announce_hash not in self._swarms:
            self._swarms[announce_hash] = _Families(
                Swarm(COMPACT_IPV4_BYTES), Swarm(COMPACT_IPV6_BYTES)
            )

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
        is_reported: bool = False,
        want: int = 0,
    ) -> Answer:
        """Do as :meth:`announce_now`, which does not wait."""
        answer = self.announce_now(
            announce_hash, peer, has_completed=has_completed, has_stopped=has_stopped, want=want
        )
        if is_reported:
            self.report_now(peer, [(announce_hash, peer.left)])
        return answer

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
        swarm = self.take_down_now(announce_hash, peer, has_completed, has_stopped)
        if swarm is None:
            return SILENCE
        others, drawn = swarm.draw(peer, 0 if has_stopped else want, self._rng)
        return Answer(swarm.counts(), others, drawn)

    def take_down_now(
        self,
        announce_hash: bytes,
        peer: Peer,
        has_completed: bool,  # noqa: FBT001 - on the hot path
        has_stopped: bool,  # noqa: FBT001 - on the hot path
    ) -> Swarm | None:
        """Take down what ``peer`` said just now, and return the swarm, or None if it is not open.

        The half of an announce that is done before a policy says how many to draw. The swarm is to
        be asked at once, and not kept; one that the peer has left only for its counts.
        """
        endpoint, now = peer.endpoint, self._clock()
        swarm = self._look(announce_hash, len(endpoint) == COMPACT_IPV4_BYTES, now)
        if swarm is not None:
            if has_stopped:
                swarm.drop(endpoint, peer.peer_id)
            else:
                swarm.put(peer, now + self._lifetime_seconds, has_completed=has_completed)
        return swarm

    def renew_now(
        self, announce_hash: bytes, endpoint: bytes, peer_id: bytes, left: int
    ) -> Swarm | None:
        """Do as :meth:`take_down_now` for a peer without a rack that is known, and is as it was.

        Returns None, and has done nothing, if that is not so, or something else has to be done
        first. It is what most announces come to, so nothing is made on the way.
        """
        families = self._swarms.get(announce_hash)
        if families is None:
            return None
        swarm, now = families[0 if len(endpoint) == COMPACT_IPV4_BYTES else 1], self._clock()
        if now >= swarm.nobody_expires_before or now >= self._leases.nobody_ends_before:
            return None
        is_known = swarm.renew(endpoint, peer_id, left, now + self._lifetime_seconds)
        return swarm if is_known else None

    async def report(self, peer: Peer, holdings: Sequence[tuple[bytes, int]]) -> None:
        """Do as :meth:`report_now`, which does not wait."""
        self.report_now(peer, holdings)

    def report_now(self, peer: Peer, holdings: Sequence[tuple[bytes, int]]) -> None:
        """Take down what one node has of many torrents; it lives as long as the node's lease."""
        peer_id, endpoint, _, group = peer
        is_ipv4, now = len(endpoint) == COMPACT_IPV4_BYTES, self._clock()
        held = []
        for announce_hash, left in holdings:
            swarm = self._look(announce_hash, is_ipv4, now)
            if swarm is not None:
                swarm.put(Peer(peer_id, endpoint, left, group), NEVER)
                held.append(announce_hash)
        self._leases.extend(endpoint, now + self._lifetime_seconds, held)

    async def renew(self, peer: Peer, holdings: Sequence[tuple[bytes, int]]) -> None:
        """Extend a node's lease; if it is over, all is reported again."""
        self._end_leases(self._clock())
        if not self._leases.extend(peer.endpoint, self._clock() + self._lifetime_seconds):
            self.report_now(peer, holdings)

    async def leave(self, endpoint: bytes, announce_hashes: Sequence[bytes]) -> None:
        """Forget an endpoint in these swarms."""
        self._leases.release(endpoint, announce_hashes)
        self._drop(endpoint, announce_hashes)

    def _drop(self, endpoint: bytes, announce_hashes: Iterable[bytes]) -> None:
        family = 0 if len(endpoint) == COMPACT_IPV4_BYTES else 1
        for announce_hash in announce_hashes:
            families = self._swarms.get(announce_hash)
            if families is not None:
                families[family].drop(endpoint)

    def _end_leases(self, now: float) -> int:
        """Forget what nodes reported of whom nothing was heard; return of how many nodes."""
        ended = self._leases.ended(now)
        for endpoint, announce_hashes in ended:
            self._drop(endpoint, announce_hashes)
        return len(ended)

    async def scrape(self, announce_hashes: Iterable[bytes], address: bytes) -> dict[bytes, Counts]:
        """Do as :meth:`scrape_now`, which does not wait."""
        return self.scrape_now(announce_hashes, address)

    def scrape_now(self, announce_hashes: Iterable[bytes], address: bytes) -> dict[bytes, Counts]:
        """Return the counts of each open swarm among these, in the family of ``address``."""
        is_ipv4, now = len(address) == IPV4_BYTES, self._clock()
        looked = ((key, self._look(key, is_ipv4, now)) for key in announce_hashes)
        return {key: swarm.counts() for key, swarm in looked if swarm is not None}

    async def members(self, announce_hash: bytes) -> Members:
        """Return all peers of a torrent, of both families."""
        now = self._clock()
        looked = [self._look(announce_hash, is_ipv4, now) for is_ipv4 in (True, False)]
        swarms = [swarm for swarm in looked if swarm is not None]
        peers = [peer for swarm in swarms for peer in swarm.peers()]
        return Members(peers, sum(swarm.downloaded for swarm in swarms))

    async def totals(self) -> Totals:
        """Return how many torrents are open, and their peers."""
        self.sweep()
        swarms = [swarm for families in self._swarms.values() for swarm in families]
        complete = sum(swarm.complete for swarm in swarms)
        return Totals(len(self._swarms), complete, sum(swarm.size for swarm in swarms) - complete)

    async def check(self) -> None:
        """Return: memory is always there."""

    def sweep(self) -> int:
        """Drop every expired peer and return how many: frees swarms that nobody asks about."""
        now = self._clock()
        swarms = [swarm for families in self._swarms.values() for swarm in families]
        before = sum(swarm.size for swarm in swarms)
        self._end_leases(now)
        for swarm in swarms:
            swarm.drop_expired(now)
        return before - sum(swarm.size for swarm in swarms)

    def _look(self, announce_hash: bytes, is_ipv4: bool, now: float) -> Swarm | None:  # noqa: FBT001 - on the hot path
        if now >= self._leases.nobody_ends_before:
            self._end_leases(now)
        families = self._swarms.get(announce_hash)
        if families is None:
            return None
        swarm = families[0 if is_ipv4 else 1]
        if now >= swarm.nobody_expires_before:
            swarm.drop_expired(now)
        return swarm
