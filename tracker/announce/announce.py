"""One announce: admit it, take it down, hand out peers.

Between the codec, which knows only bytes, and the store. It is told the asker's address and never
reads it from the query.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swarm.errors import NotFound
from tracker.announce.codec import AnnounceQuery, AnnounceReply, Event
from tracker.handout import uniform
from tracker.swarms.memory import MemorySwarms
from tracker.swarms.peer import Endpoint, Peer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tracker.swarms.store import Answer, Counts, Swarms


@dataclass(frozen=True)
class Terms:
    """What the tracker tells its clients, and how much it gives them."""

    interval_seconds: int
    min_interval_seconds: int
    #: Peers handed to a client that does not say how many it would like.
    default_numwant: int
    #: The most that any client gets.
    max_numwant: int

    def count(self, query: AnnounceQuery) -> int:
        """Return how many peers to hand out: none to who leaves."""
        if query.event is Event.STOPPED:
            return 0
        wanted = self.default_numwant if query.numwant is None else query.numwant
        return min(wanted, self.max_numwant)


#: How many candidates are drawn for each peer handed out: what a policy has to choose from.
_CANDIDATES_PER_PEER = 2


class Announcer:
    """Answers announces and scrapes out of one store of swarms.

    All of them can be awaited. Those that end in ``_now`` are for a caller that has no time to, and
    there only if :attr:`is_immediate`: a store in this process's memory.
    """

    def __init__(self, swarms: Swarms, terms: Terms, *, rng: random.Random | None = None) -> None:
        self._swarms = swarms
        self._at_hand = swarms if isinstance(swarms, MemorySwarms) else None
        self._terms = terms
        self._rng = rng or random.Random()  # noqa: S311 - it spreads load and keeps no secret

    @property
    def is_immediate(self) -> bool:
        """Whether announces and scrapes can be answered without waiting."""
        return self._at_hand is not None

    async def announce(self, query: AnnounceQuery, address: bytes) -> AnnounceReply:
        """Take down the announce of a client at ``address`` (4 or 16 bytes) and answer it.

        Raises :class:`~swarm.errors.NotFound` for a torrent that is not published, and
        :class:`~swarm.errors.Unavailable` if the store can't be reached.
        """
        asker = self._admit(query, address)
        answer = await self._swarms.announce(
            query.info_hash,
            asker,
            has_completed=query.event is Event.COMPLETED,
            has_stopped=query.event is Event.STOPPED,
            want=self._terms.count(query) * _CANDIDATES_PER_PEER,
        )
        return self._reply(query, asker, answer)

    def announce_now(self, query: AnnounceQuery, address: bytes) -> AnnounceReply:
        """Do as :meth:`announce`, without waiting."""
        asker = self._admit(query, address)
        answer = self._memory().announce_now(
            query.info_hash,
            asker,
            has_completed=query.event is Event.COMPLETED,
            has_stopped=query.event is Event.STOPPED,
            want=self._terms.count(query) * _CANDIDATES_PER_PEER,
        )
        return self._reply(query, asker, answer)

    def _memory(self) -> MemorySwarms:
        if self._at_hand is None:
            raise TypeError("these swarms are shared, and can only be awaited")
        return self._at_hand

    def _admit(self, query: AnnounceQuery, address: bytes) -> Peer:
        if not self._swarms.is_open(query.info_hash):
            raise NotFound("this torrent is not published here")
        return Peer(query.peer_id, Endpoint(address, query.port), query.left)

    def _reply(self, query: AnnounceQuery, asker: Peer, answer: Answer) -> AnnounceReply:
        count = self._terms.count(query)
        peers = uniform.choose(answer.candidates, asker=asker, count=count, rng=self._rng)
        return AnnounceReply(
            interval_seconds=self._terms.interval_seconds,
            min_interval_seconds=self._terms.min_interval_seconds,
            counts=answer.counts,
            peers=tuple(peers),
            external_ip=asker.endpoint.address,
        )

    async def scrape(self, info_hashes: Iterable[bytes], address: bytes) -> dict[bytes, Counts]:
        """Return the counts of each published torrent among ``info_hashes``.

        Raises :class:`~swarm.errors.Unavailable` if the store can't be reached.
        """
        return await self._swarms.scrape(info_hashes, address)

    def scrape_now(self, info_hashes: Iterable[bytes], address: bytes) -> dict[bytes, Counts]:
        """Do as :meth:`scrape`, without waiting."""
        return self._memory().scrape_now(info_hashes, address)
