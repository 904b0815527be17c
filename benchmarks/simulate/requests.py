"""What each stream has been asked for and has not delivered yet: a queue, as deep as libtorrent's.

A host keeps outstanding at each neighbour what it gets from it in one second, at most as many
blocks as the engine's rule allows, and two where the rule says so for many neighbours. It asks for
more as blocks arrive, goes on with the piece that it asked for last while something of that is
free, and chooses another one then. What is queued is decided: nobody else is asked for it - until
everything is queued somewhere. Then libtorrent asks for blocks twice (end game); here what is
queued beyond the next step goes back, to be asked of anybody who has it, so the end game costs no
bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.simulate.pieces import PIECE
from swarm.engine.profiles import queue_seconds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.simulate.connections import Connections
    from benchmarks.simulate.pieces import Pieces
    from benchmarks.simulate.world import World

#: libtorrent's ``min_request_queue``.
_LEAST_BLOCKS = 2


class Requests:
    """The queues of all streams; they grow with the connections."""

    def __init__(self, world: World, connections: Connections, pieces: Pieces) -> None:
        self._connections = connections
        self._pieces = pieces
        self._step = world.step_length
        block = world.block * PIECE
        self._block = max(1, int(block))
        self._least, self._most = _LEAST_BLOCKS * block, world.queue_blocks * block
        #: By number of connections: what is outstanding is what comes in so many piece times.
        self._queue_times = np.array(
            [
                (1 if world.request_queue else queue_seconds(peers)) / world.piece_seconds
                for peers in range(world.nodes + 1)
            ]
        )
        self._queue_time = np.empty(0)
        self._slots = 3 + int(np.ceil(self._most / PIECE)) + int(np.ceil(self._step))
        # Of many hosts a queue is filled up when half of it is gone, to save half of the choices.
        self._slack = 0.0 if world.hosts <= 128 else 0.5
        self._rounds = 24 if world.hosts <= 128 else 12
        self.piece = np.empty((0, self._slots), dtype=np.int32)
        self.units = np.empty((0, self._slots), dtype=np.int64)
        self.depth = np.empty(0, dtype=np.int8)
        self.outstanding = np.empty(0, dtype=np.int64)
        #: What it delivered in the last step, in pieces per piece time.
        self.rate = np.empty(0)
        #: Whether its source has nothing that its target could ask for; news change that.
        self.is_dry = np.empty(0, dtype=bool)
        self.is_closed = np.empty(0, dtype=bool)

    def grow(self) -> None:
        """Make room for new connections."""
        degrees = self._connections.degrees()
        self._queue_time = self._queue_times[degrees[self._connections.target]]
        more = len(self._connections) - len(self.depth)
        self.piece = np.concatenate((self.piece, np.zeros((more, self._slots), dtype=np.int32)))
        self.units = np.concatenate((self.units, np.zeros((more, self._slots), dtype=np.int64)))
        self.depth = np.concatenate((self.depth, np.zeros(more, dtype=np.int8)))
        self.outstanding = np.concatenate((self.outstanding, np.zeros(more, dtype=np.int64)))
        self.rate = np.concatenate((self.rate, np.zeros(more)))
        self.is_dry = np.concatenate((self.is_dry, np.zeros(more, dtype=bool)))
        self.is_closed = np.concatenate((self.is_closed, np.zeros(more, dtype=bool)))

    def fill(self, rng: np.random.Generator) -> None:
        """Ask for as much as the queues hold, and what the step will deliver."""
        self._end_game()
        depth_units = np.clip(
            self.rate * self._queue_time * PIECE, self._least, self._most
        ) + self.rate * (self._step * PIECE)
        wants = depth_units.astype(np.int64) - self.outstanding
        soon = self.rate * (self._step * PIECE)
        is_short = (wants >= np.maximum(self._block, depth_units * self._slack)) | (
            self.outstanding <= soon
        )
        streams = np.flatnonzero(is_short & ~self.is_dry & ~self.is_closed)
        rng.shuffle(streams)
        last = self.depth[streams] - 1
        pieces = np.where(last >= 0, self.piece[streams, np.maximum(last, 0)], -1)
        wants = wants[streams]
        for _ in range(self._rounds):
            if not len(streams):
                return
            streams, pieces, wants = self._ask(streams, pieces, wants)

    def _ask(
        self, streams: NDArray[np.intp], pieces: NDArray[np.int32], wants: NDArray[np.int64]
    ) -> tuple[NDArray[np.intp], NDArray[np.int32], NDArray[np.int64]]:
        """Claim units of one piece for each stream; return those that want more, and what of.

        The piece is that of ``pieces``, or the best there is where that is -1 or taken.
        """
        targets = self._connections.target[streams]
        pieces = np.where((pieces >= 0) & self._pieces.is_open(targets, pieces), pieces, -1)
        search = np.flatnonzero(pieces < 0)
        sources = self._connections.source[streams[search]]
        found = pieces[search] = self._pieces.choose(sources, targets[search])
        self.is_dry[streams[search[found < 0]]] = True
        last = self.depth[streams] - 1
        goes_on = (last >= 0) & (self.piece[streams, np.maximum(last, 0)] == pieces)
        able = np.flatnonzero((pieces >= 0) & (goes_on | (last + 1 < self._slots)))
        streams, pieces, wants = streams[able], pieces[able], wants[able]
        claimed = self._pieces.claim(targets[able], pieces, np.maximum(wants, 1))
        slot = np.where(goes_on, last, last + 1)[able]
        got = np.flatnonzero(claimed)
        at = streams[got], slot[got]
        self.piece[at] = pieces[got]
        self.units[at] += claimed[got]
        self.depth[streams[got]] = slot[got] + 1
        self.outstanding[streams[got]] += claimed[got]
        more = wants - claimed >= self._block
        return streams[more], pieces[more], (wants - claimed)[more]

    def _end_game(self) -> None:
        """Let go of what is queued by those who have nothing else to ask for."""
        pieces = self._pieces
        ends = (pieces.open_pieces == 0) & (pieces.lacking > 0)
        if not ends.any():
            return
        soon = (self.rate * (self._step * PIECE)).astype(np.int64)
        streams = np.flatnonzero(ends[self._connections.target] & (self.outstanding > soon))
        if not len(streams):
            return
        keep = soon[streams]
        for slot in range(self._slots):
            held = self.units[streams, slot]
            kept = np.minimum(held, keep)
            keep = keep - kept
            back = np.flatnonzero(held > kept)
            self.units[streams, slot] = kept
            targets = self._connections.target[streams[back]]
            units = (held - kept)[back]
            pieces.give_back(targets, self.piece[streams[back], slot], units)
            self.outstanding[streams[back]] -= units
        self.depth[streams] = (self.units[streams] > 0).sum(axis=1)
        self.is_dry[ends[self._connections.target]] = False

    def deliver(
        self, streams: NDArray[np.intp], rates: NDArray[np.float64]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int64]]:
        """Let the links carry what one step allows; return the complete nodes and pieces.

        Third of what is returned: the units that each stream delivered.
        """
        budget = (rates * (self._step * PIECE)).astype(np.int64)
        units = np.minimum(budget, self.outstanding[streams])
        self.rate[:] = 0.0
        self.rate[streams] = rates
        self.outstanding[streams] -= units
        nodes, numbers = [], []
        moving, left = streams, units
        while len(moving):
            head = self.units[moving, 0]
            given = np.minimum(head, left)
            done = self._pieces.arrived(
                self._connections.target[moving], self.piece[moving, 0], given
            )
            nodes.append(done[0])
            numbers.append(done[1])
            self.units[moving, 0] = head - given
            left = left - given
            self._shift(moving[head == given])
            more = left > 0
            moving, left = moving[more], left[more]
        if not nodes:
            return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp), units
        return np.concatenate(nodes), np.concatenate(numbers), units

    def _shift(self, streams: NDArray[np.intp]) -> None:
        for ring in (self.piece, self.units):
            ring[streams, :-1] = ring[streams, 1:]
        self.units[streams, -1] = 0
        self.depth[streams] -= 1

    def close(self, nodes: NDArray[np.bool_]) -> None:
        """End the streams to nodes that lack nothing any more."""
        self.is_closed |= nodes[self._connections.target]
