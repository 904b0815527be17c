"""One announce: admit it, take it down, hand out peers.

Between the codecs, which know only bytes, and the store. It is told the asker's address and never
reads it from the request.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from swarm.errors import NotFound
from tracker.announce.query import AnnounceQuery, AnnounceReply, Event
from tracker.swarms.memory import MemorySwarms
from tracker.swarms.peer import Peer, address_of, compact, split

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tracker.handout.policy import Kinds, Policy
    from tracker.swarms.store import Counts, Drawn, Swarms


@dataclass(frozen=True)
class Terms:
    """What the tracker tells its clients, and how much it gives them."""

    interval_seconds: int
    min_interval_seconds: int
    #: Peers handed to a client that does not say how many it would like.
    default_numwant: int
    #: The most that any client gets.
    max_numwant: int
    #: The interval of a node whose control channel says all that its announces would; seconds.
    quiet_interval_seconds: int = 1800

    def count(self, numwant: int | None) -> int:
        """Return how many peers to hand out to who would like ``numwant``."""
        wanted = self.default_numwant if numwant is None else numwant
        return min(wanted, self.max_numwant)


class Gate(Protocol):
    """Who may announce."""

    def admit(self, key: bytes, address: bytes) -> bytes:
        """Return the rack of the node with that key, which announces from ``address``.

        ``key`` is empty if none was given, and so is the rack where nodes are not known. Raises
        :class:`~swarm.errors.SwarmError` for who may not.
        """


class OpenGate:
    """Admits everybody."""

    def admit(self, key: bytes, address: bytes) -> bytes:
        """Return no rack."""
        del key, address
        return b""


class Attendance(Protocol):
    """Who is on a control channel."""

    def is_present(self, endpoint: bytes) -> bool:
        """Return whether the node that accepts peers at a compact endpoint has its channel open."""

    def introduce(
        self, announce_hash: bytes, newcomer: bytes, acquaintances: Iterable[bytes], *, most: int
    ) -> None:
        """Tell those of ``acquaintances`` who are present, and know few, of a newcomer."""


class NoAttendance:
    """Nobody is on a control channel."""

    def is_present(self, endpoint: bytes) -> bool:
        """Return no."""
        del endpoint
        return False

    def introduce(
        self, announce_hash: bytes, newcomer: bytes, acquaintances: Iterable[bytes], *, most: int
    ) -> None:
        """Tell nobody."""


#: Found once: an enumeration's members are looked up by name each time.
_STOPPED, _COMPLETED = Event.STOPPED, Event.COMPLETED
#: An interval is this share longer at most, so that who came together does not return together.
_JITTER = 0.1


class Announcer:
    """Answers announces and scrapes out of one store of swarms.

    All of them can be awaited. Those that end in ``_now`` are for a caller that has no time to, and
    there only if :attr:`is_immediate`: a store in this process's memory.
    """

    def __init__(
        self,
        swarms: Swarms,
        terms: Terms,
        *,
        policy: Policy,
        gate: Gate | None = None,
        attendance: Attendance | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._swarms = swarms
        self._at_hand = swarms if isinstance(swarms, MemorySwarms) else None
        self._terms = terms
        self._policy = policy
        self._uses_groups = policy.uses_groups
        self._gate = OpenGate() if gate is None else gate
        self._attendance = NoAttendance() if attendance is None else attendance
        self._rng = rng or random.Random()  # noqa: S311 - it spreads load and keeps no secret

    @property
    def is_immediate(self) -> bool:
        """Whether announces and scrapes can be answered without waiting."""
        return self._at_hand is not None

    async def announce(
        self, query: AnnounceQuery, address: bytes, key: bytes = b""
    ) -> AnnounceReply:
        """Take down the announce of a client at ``address`` (4 or 16 bytes) and answer it.

        ``key`` is that in the path, empty if there is none. Raises
        :class:`~swarm.errors.NotFound` for a torrent that is not published, what the gate raises,
        and :class:`~swarm.errors.Unavailable` if the store can't be reached.
        """
        asker, count = self._admit(query, address, key)
        answer = await self._swarms.announce(
            query.info_hash,
            asker,
            has_completed=query.event is Event.COMPLETED,
            has_stopped=query.event is Event.STOPPED,
            want=count,
        )
        peers = b""
        if count:
            peers = self.handout(answer.others, answer.drawn, count=count, asker=asker)
        return self._answer(query, asker, answer.counts, peers)

    def announce_now(self, query: AnnounceQuery, address: bytes, key: bytes = b"") -> AnnounceReply:
        """Do as :meth:`announce`, without waiting."""
        if self._at_hand is None:
            raise TypeError("these swarms are shared, and can only be awaited")
        info_hash, peer_id, port, _, _, left, event, numwant = query
        rack = self._gate.admit(key, address)
        asker = Peer(peer_id, compact(address, port), left, rack if self._uses_groups else b"")
        has_stopped = event is _STOPPED
        swarm = self._at_hand.take_down_now(info_hash, asker, event is _COMPLETED, has_stopped)
        if swarm is None:
            raise _not_published()
        peers = b""
        if not has_stopped:
            others, fraction = swarm.others(asker), self._rng.random()
            quotas = self._policy.quotas(
                others,
                count=self._terms.count(numwant),
                is_complete=not left,
                fraction=fraction,
            )
            peers = swarm.pick(asker, quotas, self._rng)
        return self._answer(query, asker, swarm.counts(), peers)

    def _memory(self) -> MemorySwarms:
        if self._at_hand is None:
            raise TypeError("these swarms are shared, and can only be awaited")
        return self._at_hand

    def renew_now(
        self, info_hash: bytes, endpoint: bytes, peer_id: bytes, left: int, numwant: int, key: bytes
    ) -> tuple[int, int, int, bytes] | None:
        """Answer the announce of a peer that is known and is as it was, as most are, in short.

        ``endpoint`` is the compact form of its address and port; a ``numwant`` below 0 leaves it
        to the tracker. Returns the interval in seconds, how many are complete and incomplete, and
        the peers; or None, and has done nothing, if :meth:`announce_now` is to answer it.
        """
        store, rng, terms = self._at_hand, self._rng, self._terms
        rack = self._gate.admit(key, endpoint[:-2])
        if store is None or (rack and self._uses_groups):
            return None
        swarm = store.renew_now(info_hash, endpoint, peer_id, left)
        if swarm is None:
            return None
        complete, size = swarm.complete, swarm.size
        count = terms.default_numwant if numwant < 0 else numwant
        if count > terms.max_numwant:  # noqa: PLR1730 - min() is a call
            count = terms.max_numwant
        share = 0
        if left and complete:
            share = self._policy.complete_of(complete, size - complete - 1, count, rng.random())
        peers = swarm.pick_from_all(endpoint, share, count - share, rng)
        is_present = self._attendance.is_present(endpoint)
        return self._interval_seconds(is_present), complete, size - complete, peers

    def _admit(self, query: AnnounceQuery, address: bytes, key: bytes) -> tuple[Peer, int]:
        rack = self._gate.admit(key, address)
        if not self._swarms.is_open(query.info_hash):
            raise _not_published()
        endpoint = compact(address, query.port)
        asker = Peer(query.peer_id, endpoint, query.left, self.group(rack))
        return asker, 0 if query.event is Event.STOPPED else self._terms.count(query.numwant)

    def _answer(
        self, query: AnnounceQuery, asker: Peer, counts: Counts, peers: bytes
    ) -> AnnounceReply:
        endpoint = asker.endpoint
        # The channel of who is on one says all that its announces would, and said so of its coming.
        is_present = self._attendance.is_present(endpoint)
        if query.event is Event.STARTED and peers and not is_present:
            acquaintances, most = split(peers, len(endpoint)), self._terms.count(None)
            self._attendance.introduce(query.info_hash, endpoint, acquaintances, most=most)
        return AnnounceReply(
            self._interval_seconds(is_present),
            self._terms.min_interval_seconds,
            counts,
            peers,
            address_of(endpoint),
        )

    def _interval_seconds(self, is_quiet: bool) -> int:  # noqa: FBT001 - on the hot path
        seconds = self._terms.interval_seconds
        if is_quiet:
            seconds = max(seconds, self._terms.quiet_interval_seconds)
        return int(seconds * (1 + _JITTER * self._rng.random()))

    def count(self, numwant: int | None) -> int:
        """Return how many peers to hand out to who would like ``numwant``."""
        return self._terms.count(numwant)

    def group(self, rack: bytes) -> bytes:
        """Return the group in which the store is to keep a peer of that rack."""
        return rack if self._uses_groups else b""

    def handout(self, others: Kinds, drawn: Drawn, *, count: int, asker: Peer) -> bytes:
        """Return the compact endpoints of up to ``count`` of those that were drawn for a peer."""
        quotas = self._policy.quotas(
            others, count=count, is_complete=asker.left == 0, fraction=self._rng.random()
        )
        width = len(asker.endpoint)
        near_complete, near_incomplete, far_complete, far_incomplete = drawn
        return b"".join(
            (
                near_complete[: quotas.near_complete * width],
                near_incomplete[: quotas.near_incomplete * width],
                far_complete[: quotas.far_complete * width],
                far_incomplete[: quotas.far_incomplete * width],
            )
        )

    async def scrape(
        self, info_hashes: Iterable[bytes], address: bytes, key: bytes = b""
    ) -> dict[bytes, Counts]:
        """Return the counts of each published torrent among ``info_hashes``.

        Raises what the gate raises, and :class:`~swarm.errors.Unavailable` if the store can't be
        reached.
        """
        self._gate.admit(key, address)
        return await self._swarms.scrape(info_hashes, address)

    def scrape_now(
        self, info_hashes: Iterable[bytes], address: bytes, key: bytes = b""
    ) -> dict[bytes, Counts]:
        """Do as :meth:`scrape`, without waiting."""
        self._gate.admit(key, address)
        return self._memory().scrape_now(info_hashes, address)


def _not_published() -> NotFound:
    return NotFound("this torrent is not published here")
