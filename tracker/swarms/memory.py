"""Who has what, in this process's memory: the store of a tracker that is alone.

The contract is in ``store.py``. Whatever does not wait is offered without a coroutine too, for
callers that answer a thousand datagrams in one turn of the event loop.

Peers are kept in ``members.py``; here they are told apart by torrent, family, group and
completeness. Each swarm knows a moment before which none of its peers can expire, so that a look at
it need not search all its groups for some that have.

What a node reports on its control channel does not expire by itself, but all at once, with the
node's lease (``leases.py``): so a node that says "as before" costs one step, however many torrents
it holds.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, NamedTuple

from tracker.handout.policy import Kinds
from tracker.swarms.draw import spread
from tracker.swarms.leases import Leases
from tracker.swarms.members import NEVER
from tracker.swarms.members import Members as Pool
from tracker.swarms.peer import COMPACT_IPV4_BYTES, COMPACT_IPV6_BYTES, IPV4_BYTES, Peer, split
from tracker.swarms.store import NONE, NOTHING, SILENCE, Answer, Counts, Drawn, Members, Totals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class _Group:
    """The peers of one swarm that are near to each other."""

    __slots__ = ("complete", "incomplete", "name")

    def __init__(self, name: bytes, width: int) -> None:
        self.name = name
        self.complete = Pool(width)
        self.incomplete = Pool(width)

    def pool_of(self, endpoint: bytes) -> Pool | None:
        """Return the pool that has an endpoint, if one does."""
        if endpoint in self.incomplete:
            return self.incomplete
        return self.complete if endpoint in self.complete else None

    def expires_at(self, endpoint: bytes) -> float:
        """Return when an endpoint that is here expires."""
        pool = self.incomplete if endpoint in self.incomplete else self.complete
        return pool.expires_at(endpoint)


class Swarm:
    """The peers of one torrent in one address family."""

    __slots__ = ("_groups", "_width", "complete", "downloaded", "nobody_expires_before", "size")

    def __init__(self, width: int) -> None:
        self._width = width
        self._groups: dict[bytes, _Group] = {}
        self.nobody_expires_before = NEVER
        self.complete = 0
        #: Complete and incomplete together.
        self.size = 0
        self.downloaded = 0

    def counts(self) -> Counts:
        """Return its size."""
        return Counts(self.complete, self.size - self.complete, self.downloaded)

    def peers(self) -> list[Peer]:
        """Return all peers, in no order that means anything."""
        return [
            Peer(peer_id, endpoint, left, group.name)
            for group in self._groups.values()
            for pool in (group.complete, group.incomplete)
            for endpoint, peer_id, left in pool
        ]

    def put(self, peer: Peer, expires_at: float, *, has_completed: bool = False) -> None:
        """Take down what a peer said."""
        peer_id, endpoint, left, name = peer
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = _Group(name, self._width)
        pool = group.incomplete if left else group.complete
        if pool.renew(endpoint, peer_id, left, expires_at):
            return
        former = self._group_of(endpoint)
        was_complete = False
        if former is not None:
            expires_at = max(expires_at, former.expires_at(endpoint))
            was_complete = self._remove(former, endpoint)
        # Now, as the group may have been left empty for a moment, and dropped.
        self._groups[name] = group
        pool.add(endpoint, peer_id, left, expires_at)
        self.size += 1
        if not left:
            self.complete += 1
            self.downloaded += has_completed and not was_complete
        self.nobody_expires_before = min(self.nobody_expires_before, expires_at)

    def drop(self, endpoint: bytes, peer_id: bytes | None = None) -> None:
        """Forget an endpoint; with a peer id, only if that is what is known there."""
        group = self._group_of(endpoint)
        pool = None if group is None else group.pool_of(endpoint)
        if group is not None and pool is not None and peer_id in (None, pool.peer_id(endpoint)):
            self._remove(group, endpoint)

    def _group_of(self, endpoint: bytes) -> _Group | None:
        found = (g for g in self._groups.values() if g.pool_of(endpoint) is not None)
        return next(found, None)

    def _remove(self, group: _Group, endpoint: bytes) -> bool:
        """Drop an endpoint that is in ``group``; return whether it was complete."""
        is_complete = endpoint in group.complete
        (group.complete if is_complete else group.incomplete).drop(endpoint)
        self.size -= 1
        self.complete -= is_complete
        self._tidy(group)
        return is_complete

    def _tidy(self, group: _Group) -> None:
        if not group.complete and not group.incomplete:
            del self._groups[group.name]

    def drop_expired(self, now: float) -> int:
        """Drop who is over and return how many."""
        if now < self.nobody_expires_before:
            return 0
        before, earliest = self.size, NEVER
        for group in list(self._groups.values()):
            complete = group.complete.drop_expired(now)
            self.complete -= complete
            self.size -= complete + group.incomplete.drop_expired(now)
            earliest = min(earliest, group.complete.earliest, group.incomplete.earliest)
            self._tidy(group)
        self.nobody_expires_before = earliest
        return before - self.size

    def renew(self, endpoint: bytes, peer_id: bytes, left: int, expires_at: float) -> bool:
        """Take down what a peer says that is known and is as it was, if nobody has a rack.

        Returns False, and has done nothing, if that is not so.
        """
        everybody = self._groups.get(b"")
        if everybody is None or len(self._groups) != 1:
            return False
        pool = everybody.incomplete if left else everybody.complete
        return pool.renew(endpoint, peer_id, left, expires_at)

    def others(self, asker: Peer) -> Kinds:
        """Return how many of each kind there are beside an asker that is here."""
        _, _, left, name = asker
        complete, incomplete = self.complete, self.size - self.complete
        if not name:
            return Kinds(0, 0, complete, incomplete - 1) if left else Kinds(0, 0, 0, incomplete)
        group = self._groups[name]
        near_complete, near_incomplete = len(group.complete), len(group.incomplete)
        far_complete, far_incomplete = complete - near_complete, incomplete - near_incomplete
        if left:
            return Kinds(near_complete, near_incomplete - 1, far_complete, far_incomplete)
        return Kinds(0, near_incomplete, 0, far_incomplete)

    def pick(self, asker: Peer, quotas: Kinds, rng: random.Random) -> bytes:
        """Draw so many of each kind, one kind after the other; they are at most the others."""
        if not asker.group and len(self._groups) == 1:  # what swarms are where nobody has a rack
            _, _, complete, incomplete = quotas
            return self.pick_from_all(asker.endpoint, complete, incomplete, rng)
        return b"".join(self._draw_kinds(asker, quotas, rng))

    def pick_from_all(
        self, asker: bytes, complete: int, incomplete: int, rng: random.Random
    ) -> bytes:
        """Draw up to so many of each for an endpoint, in a swarm of which nobody has a rack."""
        everybody = self._groups[b""]
        lacking = everybody.incomplete.draw(incomplete, asker, rng)
        return everybody.complete.draw(complete, asker, rng) + lacking if complete else lacking

    def draw(self, asker: Peer, want: int, rng: random.Random) -> tuple[Kinds, Drawn]:
        """Draw up to ``want`` of each kind."""
        if want <= 0:
            return NONE, NOTHING
        others = self.others(asker)
        most = Kinds(*(min(want, count) for count in others))
        return others, Drawn(*self._draw_kinds(asker, most, rng))

    def _draw_kinds(self, asker: Peer, quotas: Kinds, rng: random.Random) -> list[bytes]:
        near = self._groups.get(asker.group) if asker.group else None
        nears = [] if near is None else [near]
        fars = [group for group in self._groups.values() if group is not near]
        own = asker.endpoint
        return [
            self._draw([g.complete for g in nears], quotas.near_complete, own, rng),
            self._draw([g.incomplete for g in nears], quotas.near_incomplete, own, rng),
            self._draw([g.complete for g in fars], quotas.far_complete, own, rng),
            self._draw([g.incomplete for g in fars], quotas.far_incomplete, own, rng),
        ]

    def _draw(self, pools: list[Pool], want: int, own: bytes, rng: random.Random) -> bytes:
        if not want:
            return b""
        if len(pools) == 1:
            return pools[0].draw(want, own, rng)
        sizes = [len(pool) - (own in pool) for pool in pools]
        shares = spread(sizes, want, rng)
        found = [pool.draw(n, own, rng) for pool, n in zip(pools, shares, strict=True) if n]
        endpoints = split(b"".join(found), self._width)
        rng.shuffle(endpoints)  # else the first of them would all be of one group
        return b"".join(endpoints)


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
