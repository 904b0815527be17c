"""Connections between nodes; each is two one-way streams, numbered in the order of their making."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from benchmarks.simulate.world import World


class Connections:
    """All streams that were ever made: ``source`` uploads to ``target``."""

    def __init__(self, world: World) -> None:
        self.source = np.empty(0, dtype=np.int32)
        self.target = np.empty(0, dtype=np.int32)
        self._limits = [world.connections_limit] * world.nodes
        if world.source_connections:
            self._limits[world.source] = world.source_connections
        self._known: set[tuple[int, int]] = set()
        self._degree = np.zeros(world.nodes, dtype=np.int64)
        self._nodes = world.nodes
        self._by_source = np.empty(0, dtype=np.intp)
        self._starts = np.zeros(world.nodes + 1, dtype=np.intp)
        self.refused = 0

    def __len__(self) -> int:
        return len(self.source)

    def degree(self, node: int) -> int:
        """Return how many connections a node has."""
        return int(self._degree[node])

    def degrees(self) -> NDArray[np.int64]:
        """Return how many connections each node has."""
        return self._degree

    def connect(self, pairs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """Connect pairs of nodes; return those that are new, and whom neither side refused."""
        made = []
        for one, other in pairs:
            pair = (one, other) if one < other else (other, one)
            if pair in self._known:
                continue
            if self._is_full(one) or self._is_full(other):
                self.refused += 1
                continue
            self._known.add(pair)
            self._degree[one] += 1
            self._degree[other] += 1
            made.append(pair)
        if made:
            ends = np.array(made, dtype=np.int32)
            self.source = np.concatenate((self.source, ends[:, 0], ends[:, 1]))
            self.target = np.concatenate((self.target, ends[:, 1], ends[:, 0]))
            self._sort()
        return made

    def _is_full(self, node: int) -> bool:
        return self._degree[node] >= self._limits[node]  # type: ignore[no-any-return]

    def _sort(self) -> None:
        self._by_source = np.argsort(self.source, kind="stable")
        counts = np.bincount(self.source, minlength=self._nodes)
        self._starts = np.concatenate((np.zeros(1, dtype=np.intp), np.cumsum(counts)))

    def streams_from(self, nodes: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the streams out of each node, and for each of them which of ``nodes`` it is of."""
        first, count = self._starts[nodes], self._starts[nodes + 1] - self._starts[nodes]
        of = np.repeat(np.arange(len(nodes)), count)
        within = np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count)
        return self._by_source[first[of] + within], of
