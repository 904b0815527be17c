"""The peers of one kind in one swarm, packed so that a handout is a slice.

A tracker of a large cloud holds half a million peers and answers tens of thousands of announces per
second. So all endpoints lie one after the other in one byte string, in the compact form in which
they are sent (BEP 23), and drawing fifty of them at random is cutting out fifty in a row, beginning
anywhere: each has the same chance, and no peer is looked at one by one. What else is known of a
peer lies in arrays beside it, under the same number: its slot.

The dictionary from endpoint to slot is kept in the order of the last announces. All peers live
equally long after theirs, so the first ones are the next to expire. Those that never expire by
themselves are somewhere between them.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

_PEER_ID_BYTES = 20
NEVER = float("inf")


class Members:
    """A set of peers by endpoint; ``width`` is the size of an endpoint, 6 or 18 bytes."""

    __slots__ = ("_endpoints", "_expires_at", "_left", "_peer_ids", "_slots", "_width")

    def __init__(self, width: int) -> None:
        self._width = width
        self._slots: dict[bytes, int] = {}
        self._endpoints = bytearray()
        self._peer_ids = bytearray()
        self._left = array("Q")
        self._expires_at = array("d")

    def __len__(self) -> int:
        return len(self._left)

    def __contains__(self, endpoint: bytes) -> bool:
        return endpoint in self._slots

    def __iter__(self) -> Iterator[tuple[bytes, bytes, int]]:
        """Iterate over (endpoint, peer id, bytes left)."""
        for endpoint, slot in self._slots.items():
            yield endpoint, self._peer_id(slot), self._left[slot]

    def peer_id(self, endpoint: bytes) -> bytes:
        """Return the peer id at an endpoint that is here."""
        return self._peer_id(self._slots[endpoint])

    def _peer_id(self, slot: int) -> bytes:
        return bytes(self._peer_ids[slot * _PEER_ID_BYTES : (slot + 1) * _PEER_ID_BYTES])

    def expires_at(self, endpoint: bytes) -> float:
        """Return when an endpoint that is here expires."""
        return self._expires_at[self._slots[endpoint]]

    def renew(self, endpoint: bytes, peer_id: bytes, left: int, expires_at: float) -> bool:
        """Replace what is known of an endpoint; False if it is not here.

        It never expires sooner than it did before.
        """
        slot = self._slots.pop(endpoint, None)
        if slot is None:
            return False
        self._slots[endpoint] = slot
        self._peer_ids[slot * _PEER_ID_BYTES : (slot + 1) * _PEER_ID_BYTES] = peer_id
        self._left[slot] = left
        self._expires_at[slot] = max(self._expires_at[slot], expires_at)
        return True

    def add(self, endpoint: bytes, peer_id: bytes, left: int, expires_at: float) -> None:
        """Take in a peer whose endpoint is not here."""
        self._slots[endpoint] = len(self._left)
        self._endpoints += endpoint
        self._peer_ids += peer_id
        self._left.append(left)
        self._expires_at.append(expires_at)

    def drop(self, endpoint: bytes) -> None:
        """Forget an endpoint that is here; the peer in the last slot moves to its place."""
        slot = self._slots.pop(endpoint)
        width, last = self._width, len(self._left) - 1
        left, expires_at = self._left.pop(), self._expires_at.pop()
        if slot != last:
            moved = bytes(self._endpoints[last * width :])
            self._slots[moved] = slot
            self._endpoints[slot * width : (slot + 1) * width] = moved
            peer_id = self._peer_ids[last * _PEER_ID_BYTES :]
            self._peer_ids[slot * _PEER_ID_BYTES : (slot + 1) * _PEER_ID_BYTES] = peer_id
            self._left[slot], self._expires_at[slot] = left, expires_at
        del self._endpoints[last * width :]
        del self._peer_ids[last * _PEER_ID_BYTES :]

    @property
    def earliest(self) -> float:
        """When the next one expires."""
        times = (self._expires_at[slot] for slot in self._slots.values())
        return next((at for at in times if at != NEVER), NEVER)

    def drop_expired(self, now: float) -> int:
        """Drop who is over and return how many."""
        gone = []
        for endpoint, slot in self._slots.items():
            if self._expires_at[slot] <= now:
                gone.append(endpoint)
            elif self._expires_at[slot] != NEVER:
                break
        for endpoint in gone:
            self.drop(endpoint)
        return len(gone)

    def draw(self, want: int, asker: bytes, rng: random.Random) -> bytes:
        """Return up to ``want`` of those beside the asker, at random."""
        width, row, size = self._width, self._endpoints, len(self._left)
        own = self._slots.get(asker)
        if own is not None:
            return self._draw_around(own, want, rng)
        first = int(rng.random() * size)
        last = first + (want if want < size else size)  # noqa: FURB136 - min() is a call
        if last <= size:
            return bytes(row[first * width : last * width])
        return bytes(row[first * width :] + row[: (last - size) * width])

    def _draw_around(self, own: int, want: int, rng: random.Random) -> bytes:
        """Draw for the peer in the slot ``own``."""
        width, row, others = self._width, self._endpoints, len(self._left) - 1
        if want > others:  # noqa: PLR1730 - min() is a call
            want = others
        # The row of the others begins behind the asker's own place, and skips it on its way round.
        first = int(rng.random() * others)
        start, before = own + 1 + first, others - first
        if start > others:
            start -= others + 1
        end = start + (want if want <= before else want + 1)
        if end <= others + 1:
            drawn = row[start * width : end * width]
        else:
            drawn = row[start * width :] + row[: (end - others - 1) * width]
        if want > before:
            del drawn[before * width : (before + 1) * width]
        return bytes(drawn)
