"""Who tells simulated nodes whom to meet and what to fetch first: the tracker, or something tried.

Slices are always those of the tracker's :class:`~tracker.handout.slices.Deal`.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.simulate.tracker_side import News, TrackerSide
from tracker.handout.slices import Deal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.simulate.world import World


class Introductions(Protocol):
    """What the swarm asks of it; the answers are in ``news``."""

    news: News

    def join(self, node: int) -> None:
        """Hear that a node wants the image, or is the source of it."""

    def complete(self, node: int) -> None:
        """Hear that a node has everything."""

    def want(self, node: int) -> None:
        """Hear that a node knows too few others."""


def introductions(world: World, rack: NDArray[Any]) -> Introductions:
    """Return what the world's ``handout`` names."""
    return Pairs(world, rack) if world.handout == "pairs" else TrackerSide(world, rack)


class Pairs:
    """Tried, and not in the tracker: host k of a rack meets host k of the rack that feeds it.

    Racks are a tree: rack 0, the source's, feeds the first ``fan_out`` others, each of them as many
    more; with 0 it feeds all, with 1 they are a chain. ``gateways`` of each rack are in pairs, and
    share the pieces out; those of rack 0 meet the source instead. In its own rack every host meets
    equally many, ``numwant`` or all: host k those at a few distances from k, the same for all,
    drawn at random.
    """

    def __init__(self, world: World, rack: NDArray[Any]) -> None:
        self.news = News()
        self._world = world
        racks = rack.tolist()[: world.hosts]
        self._members: list[list[int]] = [[] for _ in range(world.racks)]
        self._place: list[tuple[int, int]] = []
        for node, number in enumerate(racks):
            self._place.append((number, len(self._members[number])))
            self._members[number].append(node)
        self._here: set[int] = set()
        rng = random.Random(world.seed)  # noqa: S311 - reproducible, not secret
        longest = max(map(len, self._members)) // 2
        reach = min(longest, max(1, world.numwant // 2))
        self._distances = rng.sample(range(1, longest + 1), reach)
        self._deals = [Deal() for _ in range(world.racks)]

    def join(self, node: int) -> None:
        """Introduce it to who is there of those whom it is to meet; the others will be to it."""
        self._here.add(node)
        if node == self._world.source:
            return
        number, k = self._place[node]
        self.news.pairs += [(node, other) for other in self._wanted(number, k) & self._here]
        if self._world.slices == "none" or not self._is_gateway(k):
            return
        deal = self._deals[number if self._world.slices == "rack" else 0]
        for endpoint, slice_ in deal.join(node.to_bytes(4, "big")).items():
            self.news.slices[int.from_bytes(endpoint, "big")] = (slice_.k, slice_.n)

    def _wanted(self, number: int, k: int) -> set[int]:
        near = self._members[number]
        signed = [sign * distance for distance in self._distances for sign in (-1, 1)]
        wanted = {near[(k + distance) % len(near)] for distance in signed} - {near[k]}
        if self._is_gateway(k):
            if not number:
                wanted.add(self._world.source)
            for other in self._linked(number):
                members = self._members[other]
                wanted.add(members[k % len(members)])
        return wanted

    def _is_gateway(self, k: int) -> bool:
        return not self._world.gateways or k < self._world.gateways

    def _linked(self, number: int) -> list[int]:
        fan_out, racks = self._world.fan_out or self._world.racks, self._world.racks
        first = number * fan_out + 1
        fed = list(range(first, min(first + fan_out, racks)))
        return fed if not number else [*fed, (number - 1) // fan_out]

    def complete(self, node: int) -> None:
        """Take its slice back."""
        number = self._place[node][0]
        deal = self._deals[number if self._world.slices == "rack" else 0]
        for endpoint, slice_ in deal.leave(node.to_bytes(4, "big")).items():
            self.news.slices[int.from_bytes(endpoint, "big")] = (slice_.k, slice_.n)

    def want(self, node: int) -> None:
        """Nobody else is there for it."""
