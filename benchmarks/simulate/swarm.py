"""A simulated swarm, step by step, and what came of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.simulate.connections import Connections
from benchmarks.simulate.introductions import introductions
from benchmarks.simulate.links import Links
from benchmarks.simulate.pieces import PIECE, Pieces
from benchmarks.simulate.requests import Requests

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.simulate.world import World

#: A node with fewer connections for so many seconds asks for more, as ``swarm/membership.py`` does.
_FEW_PEERS = 2
_FEW_SECONDS = 5.0
#: Nothing has moved for so many times F/c, and nobody is to come: it is over.
_STILL = 0.5
#: Who is not done after so many times F/c never is.
_PATIENCE = 100.0


@dataclass(frozen=True)
class Outcome:
    """What came of a swarm. Times are in F/c, bytes in images."""

    world: World
    #: Of each host: when it came, and when it had everything; infinite if it never had.
    started: NDArray[np.float64]
    done: NDArray[np.float64]
    #: Of each node, the source last.
    sent: NDArray[np.float64]
    received: NDArray[np.float64]
    #: Of each rack, from others and to them.
    into_rack: NDArray[np.float64]
    out_of_rack: NDArray[np.float64]
    connections: int
    refused: int
    steps: int


class Swarm:
    """The swarm of a world; :meth:`run` plays it to its end."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._rng = np.random.default_rng(world.seed)
        self._rack = world.rack_of()
        self.pieces = Pieces(world, self._rng)
        self._connections = Connections(world)
        self._requests = Requests(world, self._connections, self.pieces)
        self._links = Links(world, self._rack)
        self._tracker = introductions(world, self._rack)
        self._starts = world.starts(self._rng)
        order = self._rng.permutation(world.hosts)
        self._coming = deque(order[np.argsort(self._starts[order], kind="stable")].tolist())
        self._meeting: deque[tuple[float, list[tuple[int, int]]]] = deque()
        self._latency = world.latency_seconds / world.piece_seconds
        self._patience = _FEW_SECONDS / world.piece_seconds
        self._look_at = self._patience
        self._done = np.full(world.nodes, np.inf)
        self._done[world.source] = 0.0
        self._is_here = np.zeros(world.nodes, dtype=bool)
        self.sent = np.zeros(world.nodes, dtype=np.int64)
        self.received = np.zeros(world.nodes, dtype=np.int64)
        self._into_rack = np.zeros(world.racks, dtype=np.int64)
        self._out_of_rack = np.zeros(world.racks, dtype=np.int64)
        self._steps = 0

    def run(self) -> Outcome:
        """Play until everybody is done, or nothing moves any more."""
        world, step = self.world, self.world.step_length
        self._join(world.source, 0.0)
        now, moved_at = 0.0, 0.0
        while np.isinf(self._done).any() and now < _PATIENCE * world.pieces:
            self._admit(now)
            self._requests.fill(self._rng)
            now += step
            self._steps += 1
            if self._move(now):
                moved_at = now
            elif not self._coming and now - moved_at > _STILL * world.pieces + self._patience:
                break
        return self._outcome()

    def _admit(self, now: float) -> None:
        """Let hosts come, meet, and ask for others."""
        while self._coming and self._starts[self._coming[0]] <= now:
            self._join(self._coming.popleft(), now)
        if now >= self._look_at:
            self._look_at = now + self._patience
            for node in np.flatnonzero(self._is_here & np.isinf(self._done)).tolist():
                if self._connections.degree(node) < _FEW_PEERS:
                    self._tracker.want(node)
        self._hear(now)
        met: list[tuple[int, int]] = []
        while self._meeting and self._meeting[0][0] <= now:
            met += self._meeting.popleft()[1]
        if met:
            self._connect(met)

    def _join(self, node: int, now: float) -> None:
        self._is_here[node] = True
        self._tracker.join(node)
        self._hear(now)

    def _hear(self, now: float) -> None:
        pairs, slices = self._tracker.news.take()
        if pairs:
            self._meeting.append((now + self._latency, pairs))
        if self.world.slices != "none":
            for node, (k, n) in slices.items():
                self.pieces.deal(node, k, n)

    def _connect(self, pairs: list[tuple[int, int]]) -> None:
        lacking = self.pieces.lacking
        made = self._connections.connect(
            (one, other) for one, other in pairs if lacking[one] or lacking[other]
        )
        self._requests.grow()
        for pair in made:
            for one, other in (pair, pair[::-1]):
                if lacking[one] and 0 < lacking[other] < self.world.pieces:
                    self.pieces.met(one, other)
        self._requests.close(lacking == 0)

    def _move(self, now: float) -> bool:
        """Let one step pass; return whether anything was carried."""
        requests, connections = self._requests, self._connections
        streams = np.flatnonzero(requests.outstanding)
        if not len(streams):
            return False
        source, target = connections.source[streams], connections.target[streams]
        rates = self._links.rates(source, target)
        nodes, numbers, units = requests.deliver(streams, rates)
        self._account(source, target, units)
        if len(nodes):
            self._have(nodes, numbers)
            self._finish(np.unique(nodes), now)
        return True

    def _account(
        self, source: NDArray[np.int32], target: NDArray[np.int32], units: NDArray[np.int64]
    ) -> None:
        np.add.at(self.sent, source, units)
        np.add.at(self.received, target, units)
        one, other = self._rack[source], self._rack[target]
        far = np.flatnonzero(one != other)
        np.add.at(self._out_of_rack, one[far], units[far])
        np.add.at(self._into_rack, other[far], units[far])

    def _have(self, nodes: NDArray[np.intp], numbers: NDArray[np.intp]) -> None:
        """Tell the neighbours of each node of its new piece."""
        streams, of = self._connections.streams_from(nodes)
        waiting = ~self._requests.is_closed[streams]
        streams, of = streams[waiting], of[waiting]
        targets = self._connections.target[streams].astype(np.int64)
        wanted = self.pieces.heard(targets, numbers[of])
        self._requests.is_dry[streams[wanted]] = False

    def _finish(self, nodes: NDArray[np.intp], now: float) -> None:
        finished = nodes[self.pieces.lacking[nodes] == 0]
        if not len(finished):
            return
        self._done[finished] = now
        self._requests.close(self.pieces.lacking == 0)
        for node in finished.tolist():
            self._tracker.complete(node)
        self._hear(now)

    def _outcome(self) -> Outcome:
        pieces, hosts = self.world.pieces, self.world.hosts
        image = pieces * PIECE
        return Outcome(
            world=self.world,
            started=self._starts / pieces,
            done=self._done[:hosts] / pieces,
            sent=self.sent / image,
            received=self.received / image,
            into_rack=self._into_rack / image,
            out_of_rack=self._out_of_rack / image,
            connections=len(self._connections) // 2,
            refused=self._connections.refused,
            steps=self._steps,
        )


def simulate(world: World) -> Outcome:
    """Return what comes of a world."""
    return Swarm(world).run()
