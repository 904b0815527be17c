"""How fast each connection is: links shared fairly (max-min), as many TCP streams about do.

Each resource - a host's link up, down, a rack's uplink out, in, and what a host allows itself from
other racks - has a level; a connection gets the lowest level of the resources it crosses, and the
levels are such that each resource is full, or crossed only by connections that are held back
elsewhere. They are found by Newton's steps from those of the step before: what crosses a resource
is a concave, piecewise linear function of its level. A few steps are enough as little changes
between two looks, which is about how TCP finds its rates too. What would still be too much for a
resource is scaled down, so no link ever carries more than it can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.simulate.world import World

_TOLERANCE = 1e-9


class Links:
    """The links of a world, and the levels that were found last."""

    def __init__(self, world: World, rack: NDArray[np.int32]) -> None:
        self._rack = rack
        rates, nodes = world.rates(), world.nodes
        self._capacities = [rates, rates]
        self._has_far = world.has_far
        if self._has_far:
            payload = 1 - world.overhead
            uplink = np.full(world.racks, (world.uplink or nodes) * payload)
            own = np.full(nodes, (world.far_cap or nodes) * payload)
            self._capacities += [uplink, uplink, own]
        self._levels = [capacity.copy() for capacity in self._capacities]
        self._iterations = 6 if world.hosts <= 128 else 2

    def rates(self, source: NDArray[np.int32], target: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return the rates of connections that carry something, in pieces per piece time."""
        crossed = [source, target]
        far = np.empty(0, dtype=np.intp)
        if self._has_far:
            far = np.flatnonzero(self._rack[source] != self._rack[target])
            crossed += [self._rack[source[far]], self._rack[target[far]], target[far]]
        for _ in range(self._iterations):
            self._adjust(crossed, far, len(source))
        rates, _ = self._lowest(crossed, far, len(source))
        return self._fitted(rates, crossed, far)

    def _lowest(
        self, crossed: list[NDArray[np.int32]], far: NDArray[np.intp], count: int
    ) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
        levels = [level[ids] for level, ids in zip(self._levels, crossed, strict=True)]
        rates = np.minimum(levels[0], levels[1])
        for level in levels[2:]:
            rates[far] = np.minimum(rates[far], level)
        assert len(rates) == count  # noqa: S101 - one for each
        return rates, levels

    def _adjust(self, crossed: list[NDArray[np.int32]], far: NDArray[np.intp], count: int) -> None:
        rates, levels = self._lowest(crossed, far, count)
        for number, (ids, seen) in enumerate(zip(crossed, levels, strict=True)):
            own = rates if number < 2 else rates[far]
            capacity = self._capacities[number]
            size = len(capacity)
            used = np.bincount(ids, weights=own, minlength=size)
            crossing = np.bincount(ids, minlength=size)
            held = np.bincount(ids[seen <= own + _TOLERANCE], minlength=size)
            spare = capacity - used
            level = self._levels[number] + spare / np.maximum(held, 1)
            level = np.where((held == 0) & (spare > 0), capacity, level)
            level = np.where((held == 0) & (spare < 0), 0.0, level)
            fair = capacity / np.maximum(crossing, 1)
            self._levels[number] = np.clip(level, fair, capacity)

    def _fitted(
        self,
        rates: NDArray[np.float64],
        crossed: list[NDArray[np.int32]],
        far: NDArray[np.intp],
    ) -> NDArray[np.float64]:
        for number, ids in enumerate(crossed):
            capacity = self._capacities[number]
            own = rates if number < 2 else rates[far]
            used = np.bincount(ids, weights=own, minlength=len(capacity))
            fit = np.minimum(1.0, capacity / np.maximum(used, 1e-30))[ids]
            if number < 2:
                rates = rates * fit
            else:
                rates[far] = own * fit
        return rates
