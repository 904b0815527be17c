"""The peers of one torrent in one address family, in memory: groups of those near to each other.

Peers are kept in ``members.py``; here they are told apart by group and completeness, and drawn. A
swarm knows a moment before which none of its peers can expire, so that a look at it need not search
all its groups for some that have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.handout.policy import Kinds
from tracker.swarms.draw import spread
from tracker.swarms.members import NEVER
from tracker.swarms.members import Members as Pool
from tracker.swarms.peer import Peer, split
from tracker.swarms.store import NONE, NOTHING, Counts, Drawn

if TYPE_CHECKING:
    import random


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
        return b"".join(self._draw_kinds(asker, quotas, rng, may_be_cut=False))

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
        return others, Drawn(*self._draw_kinds(asker, most, rng, may_be_cut=True))

    def _draw_kinds(
        self, asker: Peer, quotas: Kinds, rng: random.Random, *, may_be_cut: bool
    ) -> list[bytes]:
        near = self._groups.get(asker.group) if asker.group else None
        nears = [] if near is None else [near]
        fars = [group for group in self._groups.values() if group is not near]
        wanted = (
            (quotas.near_complete, [group.complete for group in nears]),
            (quotas.near_incomplete, [group.incomplete for group in nears]),
            (quotas.far_complete, [group.complete for group in fars]),
            (quotas.far_incomplete, [group.incomplete for group in fars]),
        )
        own = asker.endpoint
        drawn = [_draw(pools, want, own, rng) if want else [] for want, pools in wanted]
        if may_be_cut:
            drawn = [self._shuffled(some, rng) for some in drawn]
        return [b"".join(some) for some in drawn]

    def _shuffled(self, drawn: list[bytes], rng: random.Random) -> list[bytes]:
        """Mix what was drawn from several groups: else the first of it would all be of one."""
        if len(drawn) <= 1:
            return drawn
        endpoints = split(b"".join(drawn), self._width)
        rng.shuffle(endpoints)
        return endpoints


def _draw(pools: list[Pool], want: int, own: bytes, rng: random.Random) -> list[bytes]:
    """Draw from several pools, as evenly as they allow; what is of one pool stays together."""
    if len(pools) == 1:
        return [pools[0].draw(want, own, rng)]
    sizes = [len(pool) - (own in pool) for pool in pools]
    shares = spread(sizes, want, rng)
    return [pool.draw(n, own, rng) for pool, n in zip(pools, shares, strict=True) if n]
