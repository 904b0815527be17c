"""The peers of one kind in one swarm, packed so that a handout is a slice.

A tracker of a large cloud holds half a million peers and answers tens of thousands of announces per
second. So all endpoints lie one after the other in one byte string, in the compact form in which
they are sent (BEP 23), and drawing fifty of them at random is cutting out fifty in a row, beginning
anywhere: each has the same chance, and no peer is looked at one by one. What else is known of a
peer lies in a row of records beside it, under the same number: its slot.

The dictionary from endpoint to slot is kept in the order of the last announces. All peers live
equally long after theirs, so the first ones are the next to expire. Those that never expire by
themselves are somewhere between them.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

NEVER = float("inf")
#: Peer id, bytes left, and when it expires; and that last one alone.
_RECORD = struct.Struct("=20sQd")
_RECORD_BYTES = _RECORD.size
_EXPIRES_AT = struct.Struct("=28xd")


class Members:
    """A set of peers by endpoint; ``width`` is the size of an endpoint, 6 or 18 bytes."""

    __slots__ = ("_endpoints", "_records", "_slots", "_width")

    def __init__(self, width: int) -> None:
        self._width = width
        self._slots: dict[bytes, int] = {}
        self._endpoints = bytearray()
        self._records = bytearray()

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, endpoint: bytes) -> bool:
        return endpoint in self._slots

    def __iter__(self) -> Iterator[tuple[bytes, bytes, int]]:
        """Iterate over (endpoint, peer id, bytes left)."""
        for endpoint, slot in self._slots.items():
            peer_id, left, _ = _RECORD.unpack_from(self._records, slot * _RECORD_BYTES)
            yield endpoint, peer_id, left

    def peer_id(self, endpoint: bytes) -> bytes:
        """Return the peer id at an endpoint that is here."""
        start = self._slots[endpoint] * _RECORD_BYTES
        peer_id: bytes = _RECORD.unpack_from(self._records, start)[0]
        return peer_id

    def expires_at(self, endpoint: bytes) -> float:
        """Return when an endpoint that is here expires."""
        return self._expires_at(self._slots[endpoint])

    def _expires_at(self, slot: int) -> float:
        moment: float = _EXPIRES_AT.unpack_from(self._records, slot * _RECORD_BYTES)[0]
        return moment

    def renew(self, endpoint: bytes, peer_id: bytes, left: int, expires_at: float) -> bool:
        """Replace what is known of an endpoint; False if it is not here.

        It never expires sooner than it did before.
        """
        slots = self._slots
        slot = slots.pop(endpoint, None)
        if slot is None:
            return False
        slots[endpoint] = slot
        start = slot * _RECORD_BYTES
        (former,) = _EXPIRES_AT.unpack_from(self._records, start)
        if former > expires_at:  # noqa: PLR1730 - max() is a call
            expires_at = former
        _RECORD.pack_into(self._records, start, peer_id, left, expires_at)
        return True

    def add(self, endpoint: bytes, peer_id: bytes, left: int, expires_at: float) -> None:
        """Take in a peer whose endpoint is not here."""
        self._slots[endpoint] = len(self._slots)
        self._endpoints += endpoint
        self._records += _RECORD.pack(peer_id, left, expires_at)

    def drop(self, endpoint: bytes) -> None:
        """Forget an endpoint that is here; the peer in the last slot moves to its place."""
        slot = self._slots.pop(endpoint)
        width, last = self._width, len(self._slots)
        if slot != last:
            moved = bytes(self._endpoints[last * width :])
            self._slots[moved] = slot
            self._endpoints[slot * width : (slot + 1) * width] = moved
            record = self._records[last * _RECORD_BYTES :]
            self._records[slot * _RECORD_BYTES : (slot + 1) * _RECORD_BYTES] = record
        del self._endpoints[last * width :]
        del self._records[last * _RECORD_BYTES :]

    @property
    def earliest(self) -> float:
        """When the next one expires."""
        times = (self._expires_at(slot) for slot in self._slots.values())
        return next((at for at in times if at != NEVER), NEVER)

    def drop_expired(self, now: float) -> int:
        """Drop who is over and return how many."""
        gone = []
        for endpoint, slot in self._slots.items():
            expires_at = self._expires_at(slot)
            if expires_at <= now:
                gone.append(endpoint)
            elif expires_at != NEVER:
                break
        for endpoint in gone:
            self.drop(endpoint)
        return len(gone)

    def draw(self, want: int, asker: bytes, rng: random.Random) -> bytes:
        """Return up to ``want`` of those beside the asker, at random."""
        width, row, size = self._width, self._endpoints, len(self._slots)
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
        width, row, others = self._width, self._endpoints, len(self._slots) - 1
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
