"""Who has which piece, and which one a host asks for next: libtorrent's order.

The order is that of libtorrent's picker (``piece_pos::priority`` in its ``piece_picker.hpp``)::

    (peers that have it + 1) * (8 - priority) * 3, less 1 if it is begun

the lowest first, and those alike in an order that each host shuffled for itself. Peers are the
host's neighbours; a seed does not count, as it does not change the order. So a slice is no wall:
priority 5 instead of 4 puts a piece before those that as many neighbours have, but one that is out
at three of them comes after one of another slice that nobody has.

One number per host and piece holds all of that, so that the choice is a minimum over a row::

    bit 31: not to be asked for   bits 16-30: the formula   bits 0-15: the host's own shuffling

Quantities are whole numbers: a piece has :data:`PIECE` units. So bytes are conserved exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.simulate.world import World

#: Units of one piece.
PIECE = 1 << 20
_NOT_TO_ASK = np.uint32(1 << 31)
_FACTOR = 3
_USUAL = 4
#: Of nobody's slice: no piece is number -1 modulo this.
_NO_SLICE = (1 << 30, -1)
#: Rows that are looked at in one go: they fit a processor's cache.
_ROWS = 1024


class Pieces:
    """The pieces of every node: what it has, what it has asked for, what it would like next."""

    def __init__(self, world: World, rng: np.random.Generator) -> None:
        shape = world.nodes, world.pieces
        self.count = world.pieces
        self.has = np.zeros(shape, dtype=bool)
        self.has[world.source] = True
        #: Units that have not arrived, and those of them that nobody has been asked for.
        self._missing = np.full(shape, PIECE, dtype=np.int32)
        self._open = np.full(shape, PIECE, dtype=np.int32)
        self._missing[world.source] = self._open[world.source] = 0
        #: Pieces of each node: that it lacks, and that it can still ask for.
        self.lacking = np.full(world.nodes, world.pieces, dtype=np.int32)
        self.open_pieces = self.lacking.copy()
        self.lacking[world.source] = self.open_pieces[world.source] = 0
        self._modulus = np.full(world.nodes, _NO_SLICE[0], dtype=np.int32)
        self._slice = np.full(world.nodes, _NO_SLICE[1], dtype=np.int32)
        self._own_weight = (8 - world.slice_priority) * _FACTOR
        self._usual_weight = (8 - _USUAL) * _FACTOR
        self._rank = rng.integers(0, 1 << 16, shape, dtype=np.uint32)
        self._rank += np.uint32((self._usual_weight - 2) << 16)
        self._rank[world.source] |= _NOT_TO_ASK
        #: For each piece that a node has 0, else what makes a rank one not to ask for.
        self._withheld = np.where(self.has, np.uint32(0), _NOT_TO_ASK)

    def deal(self, node: int, k: int, n: int) -> None:
        """Give a node a slice, every piece that is ``k`` modulo ``n``."""
        row = self._rank[node]
        formula = (row >> np.uint32(16)).astype(np.int64) & 0x7FFF
        before = self._weight(np.full(self.count, node), np.arange(self.count))
        # Less 2 or 3 is what the formula has beside multiples of the weight, which is 3 at least.
        peers_and_one, rest = np.divmod(formula + 3, before)
        self._modulus[node], self._slice[node] = n, k
        after = self._weight(np.full(self.count, node), np.arange(self.count))
        formula = peers_and_one * after + rest - 3
        kept = row & np.uint32(0x8000FFFF)
        self._rank[node] = kept | (formula.astype(np.uint32) << np.uint32(16))

    def _weight(self, nodes: NDArray[np.intp], pieces: NDArray[np.intp]) -> NDArray[np.int64]:
        is_own = pieces % self._modulus[nodes] == self._slice[nodes]
        return np.where(is_own, self._own_weight, self._usual_weight)

    def heard(self, nodes: NDArray[np.intp], pieces: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Note that a neighbour of each node has a piece; return which ones it can ask for."""
        keys = nodes * self.count + pieces
        weights = self._weight(nodes, pieces).astype(np.uint32) << np.uint32(16)
        flat = self._rank.reshape(-1)
        np.add.at(flat, keys, weights)
        wanted: NDArray[np.bool_] = flat[keys] < _NOT_TO_ASK
        return wanted

    def met(self, node: int, other: int) -> None:
        """Note all that a new neighbour has, which is no seed."""
        pieces = np.flatnonzero(self.has[other])
        self.heard(np.full(len(pieces), node), pieces)

    def choose(self, sources: NDArray[np.int32], targets: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return which piece each target would ask its source for; -1 where there is none."""
        chosen = np.empty(len(sources), dtype=np.int32)
        for first in range(0, len(sources), _ROWS):
            rows = slice(first, first + _ROWS)
            ranks = self._rank[targets[rows]] | self._withheld[sources[rows]]
            best = ranks.argmin(axis=1)
            is_none = ranks[np.arange(len(best)), best] >= _NOT_TO_ASK
            chosen[rows] = np.where(is_none, -1, best)
        return chosen

    def is_open(self, targets: NDArray[np.int32], pieces: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Return of which pieces something can still be asked for."""
        still: NDArray[np.bool_] = self._open[targets, pieces] > 0
        return still

    def claim(
        self,
        targets: NDArray[np.int32],
        pieces: NDArray[np.int32],
        wants: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """Ask for up to ``wants`` units of pieces; return how many are asked for.

        Of several claims on one piece of one node the first gets what it wants, the next what is
        left, and so on.
        """
        keys = targets.astype(np.int64) * self.count + pieces
        order = np.argsort(keys, kind="stable")
        keys, wants = keys[order], wants[order]
        first = np.flatnonzero(np.diff(keys, prepend=-1))
        size = np.diff(first, append=len(keys))
        before = np.cumsum(wants) - wants
        before -= np.repeat(before[first], size)
        left, rank = self._open.reshape(-1), self._rank.reshape(-1)
        given = np.clip(left[keys] - before, 0, wants)
        keys, totals = keys[first], np.add.reduceat(given, first) if len(first) else given
        was_open = left[keys] > 0
        left[keys] -= totals.astype(np.int32)
        ranks = rank[keys]
        is_begun = ((ranks >> np.uint32(16)) & np.uint32(0x7FFF)) % _FACTOR == 0
        ranks -= ((totals > 0) & ~is_begun).astype(np.uint32) << np.uint32(16)
        is_taken = (left[keys] == 0) & was_open
        rank[keys] = np.where(is_taken, ranks | _NOT_TO_ASK, ranks)
        np.subtract.at(self.open_pieces, keys[is_taken] // self.count, 1)
        claimed = np.zeros(len(order), dtype=np.int64)
        claimed[order] = given
        return claimed

    def give_back(
        self,
        targets: NDArray[np.int32],
        pieces: NDArray[np.int32],
        units: NDArray[np.int64],
    ) -> None:
        """Take back what was asked for, so that it can be asked of others."""
        keys = targets.astype(np.int64) * self.count + pieces
        left, rank = self._open.reshape(-1), self._rank.reshape(-1)
        unique = np.unique(keys)
        was_taken = left[unique] == 0
        np.add.at(left, keys, units.astype(np.int32))
        again = unique[was_taken & (left[unique] > 0)]
        rank[again] &= ~_NOT_TO_ASK
        np.add.at(self.open_pieces, again // self.count, 1)

    def arrived(
        self,
        targets: NDArray[np.int32],
        pieces: NDArray[np.int32],
        units: NDArray[np.int64],
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Take in what came; return the nodes and pieces that are complete by it."""
        keys = targets.astype(np.int64) * self.count + pieces
        missing = self._missing.reshape(-1)
        np.subtract.at(missing, keys, units.astype(np.int32))
        done = np.unique(keys[missing[keys] == 0])
        nodes, numbers = np.divmod(done, self.count)
        self.has[nodes, numbers] = True
        self._withheld[nodes, numbers] = 0
        np.subtract.at(self.lacking, nodes, 1)
        return nodes, numbers

    @property
    def units_missing(self) -> int:
        """What has not arrived, of all nodes."""
        return int(self._missing.sum(dtype=np.int64))
