"""What one node has still to be told.

News for a node that come while an update is on its way wait here and leave together. They are kept
by torrent, and a later word replaces or joins an earlier one; so a node that reads slowly costs no
more memory than what it holds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from swarm.control_messages import SliceOf, Update

if TYPE_CHECKING:
    from collections.abc import Iterable

    from swarm.messages import Convert
    from tracker.handout.slices import Slice

#: Endpoints of one torrent that wait to be told; who comes later is met in another way.
_MOST_WAITING = 200


class Outbox:
    """The news for one node; :meth:`take` empties it."""

    def __init__(self, *, most_demands: int) -> None:
        #: Set when there is something to take.
        self.has_news = asyncio.Event()
        self._peers: dict[bytes, list[bytes]] = {}
        self._slices: dict[bytes, Slice] = {}
        self._left: dict[bytes, list[bytes]] = {}
        self._withdrawn: set[bytes] = set()
        self._networks: dict[str, bool] = {}
        self._demands: deque[Convert] = deque()
        self._most_demands = most_demands

    def introduce(self, announce_hash: bytes, endpoints: Iterable[bytes]) -> None:
        """Tell of peers to connect to."""
        self._add(self._peers, announce_hash, endpoints)

    def part(self, announce_hash: bytes, endpoints: Iterable[bytes]) -> None:
        """Tell of peers that are there no more."""
        self._add(self._left, announce_hash, endpoints)

    def _add(
        self, waiting: dict[bytes, list[bytes]], announce_hash: bytes, endpoints: Iterable[bytes]
    ) -> None:
        known = waiting.setdefault(announce_hash, [])
        known += endpoints
        del known[_MOST_WAITING:]
        self.has_news.set()

    def deal(self, announce_hash: bytes, slice_: Slice) -> None:
        """Tell the slice to fetch first; the last word counts."""
        self._slices[announce_hash] = slice_
        self.has_news.set()

    def withdraw(self, announce_hash: bytes) -> None:
        """Tell that a torrent is withdrawn."""
        self._withdrawn.add(announce_hash)
        self.has_news.set()

    def block(self, networks: Iterable[str], *, is_blocked: bool) -> None:
        """Tell whom not to talk to, or to talk to again."""
        self._networks.update(dict.fromkeys(networks, is_blocked))
        self.has_news.set()

    def demand(self, demand: Convert) -> bool:
        """Ask for a conversion; False if too many wait already."""
        if len(self._demands) >= self._most_demands:
            return False
        self._demands.append(demand)
        self.has_news.set()
        return True

    def forget(self, announce_hash: bytes) -> None:
        """Drop what waits about a torrent that the node has left."""
        for waiting in (self._peers, self._slices, self._left):
            waiting.pop(announce_hash, None)

    def take(self) -> list[Update | Convert]:
        """Return all that waits, as messages, and be empty."""
        self.has_news.clear()
        messages: list[Update | Convert] = list(self._demands)
        self._demands.clear()
        if self._peers or self._slices or self._left or self._withdrawn or self._networks:
            messages.append(self._take_update())
        return messages

    def _take_update(self) -> Update:
        update = Update(
            peers={key.hex(): b"".join(peers).hex() for key, peers in self._peers.items()},
            slices={key.hex(): SliceOf(k=s.k, n=s.n) for key, s in self._slices.items()},
            left={key.hex(): b"".join(peers).hex() for key, peers in self._left.items()},
            withdrawn=tuple(key.hex() for key in self._withdrawn),
            block=tuple(name for name, is_blocked in self._networks.items() if is_blocked),
            unblock=tuple(name for name, is_blocked in self._networks.items() if not is_blocked),
        )
        for waiting in (self._peers, self._slices, self._left, self._withdrawn, self._networks):
            waiting.clear()
        return update
