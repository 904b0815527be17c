"""How long nodes are believed that report on a control channel: one lease each, for all they hold.

A cloud's nodes say "as before" tens of thousands of times for each time that something changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.swarms.members import NEVER

if TYPE_CHECKING:
    from collections.abc import Iterable


class _Lease:
    __slots__ = ("ends_at", "held")

    def __init__(self) -> None:
        self.ends_at = 0.0
        self.held: set[bytes] = set()


class Leases:
    """The leases of all nodes by endpoint, those that end next first."""

    def __init__(self) -> None:
        self._leases: dict[bytes, _Lease] = {}
        #: No lease ends sooner.
        self.nobody_ends_before = NEVER

    def extend(self, endpoint: bytes, ends_at: float, held: Iterable[bytes] | None = None) -> bool:
        """Let a node's lease end later, and cover ``held`` as well.

        Without ``held``, a node that has no lease gets none: returns whether it has one.
        """
        lease = self._leases.pop(endpoint, None)
        if lease is None:
            if held is None:
                return False
            lease = _Lease()
            self.nobody_ends_before = min(self.nobody_ends_before, ends_at)
        self._leases[endpoint] = lease
        lease.ends_at = ends_at
        if held is not None:
            lease.held.update(held)
        return True

    def release(self, endpoint: bytes, announce_hashes: Iterable[bytes]) -> None:
        """Let a node's lease cover these no more."""
        lease = self._leases.get(endpoint)
        if lease is not None:
            lease.held.difference_update(announce_hashes)

    def ended(self, now: float) -> list[tuple[bytes, set[bytes]]]:
        """Take out the leases that are over; returns each endpoint and what it held."""
        over = []
        self.nobody_ends_before = NEVER
        for endpoint, lease in self._leases.items():
            if lease.ends_at > now:
                self.nobody_ends_before = lease.ends_at
                break
            over.append(endpoint)
        return [(endpoint, self._leases.pop(endpoint).held) for endpoint in over]
