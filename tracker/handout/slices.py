"""Slices: which share of a torrent's pieces each of several nodes fetches first.

If everybody fetched the same pieces first, the seeder would send each of them many times, and
nobody would have what another lacks. So the nodes of one rack that lack a torrent share its pieces
out: slice k of n is every piece whose number is k modulo n.

It is done as in linear hashing (Litwin, 1980). A newcomer takes a slice that somebody left behind;
if there is none, the largest slice, (k, n), is split: its holder keeps (k, 2n) and the newcomer
gets (k + n, 2n). So no two slices overlap, their sizes differ at most by a factor of two, a
newcomer changes the slice of one other at most, and by the time the swarm has doubled everybody has
been dealt anew. Dealing k of exactly n to n nodes would be as even as can be, and change
everybody's slice with each newcomer; doubling n only when the swarm has doubled would give half of
the slices to two nodes each, and so have the seeder send those pieces twice.

Who leaves changes nobody's slice. What was left behind is fetched by everybody after their own;
when it makes up more than half of the torrent the rest is dealt anew, so that who remains shares
the work again. A swarm that shrinks to about a half does that once, so it costs each leaver a slice
or two. A single slice is never merged into another: that would disturb its holder to no great use.

Of more nodes than pieces some have a slice without a piece, and fetch what is rare as ever.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

#: The share of the pieces that may be nobody's.
_MOST_FREE = 0.5
#: So many entries of the heap may be out of date, in any case, before it is built anew.
_OUTDATED_ANYWAY = 16


class Slice(NamedTuple):
    """Every piece whose number is ``k`` modulo ``n``."""

    k: int
    n: int

    def covers(self, piece: int) -> bool:
        """Return whether a piece is in it."""
        return piece % self.n == self.k


class _Held(NamedTuple):
    """A slice that somebody has, in the order in which they are split: largest, oldest first."""

    n: int
    turn: int
    k: int
    node: bytes


class Deal:
    """The slices of the nodes of one rack that lack one torrent; a node is known by its endpoint.

    ``join`` and ``leave`` return whose slice is new, and what it is now. Their time grows with the
    logarithm of the nodes, but for dealing anew.
    """

    def __init__(self) -> None:
        self._held: dict[bytes, _Held] = {}
        #: The same, to find the largest in; some are out of date, and passed over.
        self._heap: list[_Held] = []
        #: What was left behind, as (n, k): the largest first.
        self._free: list[tuple[int, int]] = []
        #: Exact, as each n is a power of two.
        self._free_share = 0.0
        self._turn = 0

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, node: bytes) -> bool:
        return node in self._held

    def slice_of(self, node: bytes) -> Slice | None:
        """Return the slice of a node, if it has one."""
        held = self._held.get(node)
        return None if held is None else Slice(held.k, held.n)

    def join(self, node: bytes) -> dict[bytes, Slice]:
        """Give a node a slice; one that has one keeps it."""
        own = self.slice_of(node)
        if own is not None:
            return {node: own}
        if not self._held:
            self._forget_all()
            return self._give(node, Slice(0, 1))
        if self._free:
            n, k = heapq.heappop(self._free)
            self._free_share -= 1 / n
            return self._give(node, Slice(k, n))
        n, _, k, holder = self._take_largest()
        return self._give(holder, Slice(k, 2 * n)) | self._give(node, Slice(k + n, 2 * n))

    def leave(self, node: bytes) -> dict[bytes, Slice]:
        """Take the slice of a node away, if it has one."""
        left = self._held.pop(node, None)
        if left is None:
            return {}
        heapq.heappush(self._free, (left.n, left.k))
        self._free_share += 1 / left.n
        return self._deal_anew() if self._held and self._free_share > _MOST_FREE else {}

    def _give(self, node: bytes, slice_: Slice) -> dict[bytes, Slice]:
        self._turn += 1
        held = self._held[node] = _Held(slice_.n, self._turn, slice_.k, node)
        heapq.heappush(self._heap, held)
        if len(self._heap) > 2 * len(self._held) + _OUTDATED_ANYWAY:
            self._heap = sorted(self._held.values())
        return {node: slice_}

    def _take_largest(self) -> _Held:
        while True:
            held = heapq.heappop(self._heap)
            if self._held.get(held.node) == held:
                return held

    def _forget_all(self) -> None:
        self._held.clear()
        self._heap.clear()
        self._free.clear()
        self._free_share = 0.0

    def _deal_anew(self) -> dict[bytes, Slice]:
        before = {node: self.slice_of(node) for node in self._held}
        self._forget_all()
        for node in before:
            self.join(node)
        now = {node: Slice(held.k, held.n) for node, held in self._held.items()}
        return {node: slice_ for node, slice_ in now.items() if slice_ != before[node]}
