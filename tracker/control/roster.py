"""Who is on a control channel, and what they hold: for this process's own channels only.

A node whose channel was lost is absent, and stays on the roster for a while: if it comes back it
has its slices, and nobody else is disturbed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tracker.control.outbox import Outbox
    from tracker.swarms.peer import Peer

#: How long an absent node keeps its place.
GRACE_SECONDS = 30.0


class Holding:
    """One torrent at one node."""

    __slots__ = ("is_counted", "left", "met")

    def __init__(self, left: int) -> None:
        #: Bytes that it lacks.
        self.left = left
        #: Whether the store of swarms has been told; not while the torrent is not published here.
        self.is_counted = False
        #: How many peers the node has been told of.
        self.met = 0


class Attendee:
    """A node's engine: where it is met, what it holds, and what it has still to be told."""

    def __init__(
        self, node: str, role: str, *, rack: bytes, peer: Peer | None, outbox: Outbox
    ) -> None:
        self.node = node
        self.role = role
        self.rack = rack
        #: How swarms know it; None if it takes part in none.
        self.peer = peer
        self.outbox = outbox
        self.holdings: dict[bytes, Holding] = {}
        #: When all of its holdings were last reported to the store; on the roster's clock.
        self.refreshed_at = float("-inf")


class Roster:
    """All attendees by endpoint, and by torrent."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._present: dict[bytes, Attendee] = {}
        self._absent: dict[bytes, tuple[float, Attendee]] = {}
        self._holders: dict[bytes, dict[bytes, Attendee]] = {}

    def is_present(self, endpoint: bytes) -> bool:
        """Return whether the node that accepts peers at ``endpoint`` has its channel open."""
        return endpoint in self._present

    def __len__(self) -> int:
        return len(self._present)

    def enter(self, attendee: Attendee) -> None:
        """Take in an attendee; what it held at its last visit is believed until it reports."""
        if attendee.peer is None:
            return
        endpoint = attendee.peer.endpoint
        former = self._present.pop(endpoint, None) or self._absent.pop(endpoint, (0, None))[1]
        self._present[endpoint] = attendee
        for announce_hash, holding in former.holdings.items() if former else ():
            self.hold(attendee, announce_hash, holding.left)

    def exit(self, attendee: Attendee) -> None:
        """Make an attendee absent, unless it is back on another channel already."""
        peer = attendee.peer
        if peer is not None and self._present.get(peer.endpoint) is attendee:
            del self._present[peer.endpoint]
            self._absent[peer.endpoint] = (self.clock(), attendee)

    def overdue(self) -> list[Attendee]:
        """Return the absent whose time is over; they are forgotten once they hold nothing."""
        oldest = self.clock() - GRACE_SECONDS
        found = [e for e, (since, _) in self._absent.items() if since <= oldest]
        return [self._absent.pop(endpoint)[1] for endpoint in found]

    def hold(self, attendee: Attendee, announce_hash: bytes, left: int) -> Holding:
        """Note a holding, or what is left of one that is known; returns it."""
        holding = attendee.holdings.get(announce_hash)
        if holding is None:
            holding = attendee.holdings[announce_hash] = Holding(left)
        if attendee.peer is not None:
            self._holders.setdefault(announce_hash, {})[attendee.peer.endpoint] = attendee
        holding.left = left
        return holding

    def drop(self, attendee: Attendee, announce_hash: bytes) -> None:
        """Forget a holding, and what waits to be said about it."""
        attendee.holdings.pop(announce_hash, None)
        attendee.outbox.forget(announce_hash)
        holders = self._holders.get(announce_hash, {})
        if attendee.peer is not None and holders.get(attendee.peer.endpoint) is attendee:
            del holders[attendee.peer.endpoint]
            if not holders:
                del self._holders[announce_hash]

    def holder(self, announce_hash: bytes, endpoint: bytes) -> Attendee | None:
        """Return who holds a torrent at ``endpoint``, if it is somebody of ours."""
        return self._holders.get(announce_hash, {}).get(endpoint)

    def holders(self, announce_hash: bytes) -> list[Attendee]:
        """Return all who hold a torrent."""
        return list(self._holders.get(announce_hash, {}).values())

    def introduce(
        self, announce_hash: bytes, newcomer: bytes, acquaintances: Iterable[bytes], *, most: int
    ) -> None:
        """Tell those of ``acquaintances`` of a newcomer who have met fewer than ``most`` peers.

        The others are connected to, which is how they learn of it.
        """
        holders = self._holders.get(announce_hash, {})
        for endpoint in acquaintances if holders else ():
            attendee = holders.get(endpoint)
            if attendee is not None and attendee.holdings[announce_hash].met < most:
                attendee.holdings[announce_hash].met += 1
                attendee.outbox.introduce(announce_hash, [newcomer])

    def everybody(self) -> Iterator[Attendee]:
        """Iterate over all who are present."""
        return iter(list(self._present.values()))
