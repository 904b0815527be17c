"""Connection ids of UDP announces (BEP 15): signed, and kept nowhere.

The source address of a datagram can be forged. So a client first asks for a connection id, and
shows by sending it back that it receives what is sent to the address it claims to have. Were the
ids kept, a flood of forged requests would fill the memory; instead an id proves by itself when and
to which address it was given.

Layout, 8 bytes in network order::

    | 2 bytes: when it was issued | 6 bytes: signature                            |
    | Unix seconds, modulo 65536  | BLAKE2s, keyed with the secret, of the full   |
    |                             | time (8 bytes) and the address (4 or 16)      |

The full time is known from its lower bits, as an id lives for two minutes only; since it is signed
in full, an id is no good again when the lower bits come round after 18 hours.

What an attack costs: whoever does not receive at an address has to guess 48 bits, which takes 2^47
datagrams on average, for two minutes of answers to that one address. Whoever does receive there
has nothing to gain: answers go to where the id was sent. Ports are not signed; clients may use a
new socket for each request, and a stranger behind the same address translation is told nothing
that it could not ask for itself.

Replicas behind one address share the secret, and the system's clock is what they have in common.
One may be a little ahead of the other, so an id from the near future is taken; one from beyond
that nobody has issued.
"""

from __future__ import annotations

import secrets
import time
from hashlib import blake2s
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LIFETIME_SECONDS = 120
#: How far the clocks of replicas may be apart.
SKEW_SECONDS = 5
_CONNECTION_ID_BYTES = 8
_SIGNATURE_BYTES = 6
_PERIOD_SECONDS = 1 << 16
#: Of ids that were proved right: a client that announces many torrents is proved once.
MOST_REMEMBERED = 1 << 16


class ConnectionIds:
    """Issues ids and recognises them.

    ``secret`` may be of any length; None has one made that ends with the process. ``clock`` returns
    Unix seconds.
    """

    def __init__(
        self, secret: bytes | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._key = blake2s(secret or secrets.token_bytes(32)).digest()
        self._clock = clock
        # Id and address, to when it is over: it spares a signature, and holds what is true anyhow.
        self._proved: dict[bytes, int] = {}

    @property
    def remembered(self) -> int:
        """How many ids are remembered as proved: at most MOST_REMEMBERED."""
        return len(self._proved)

    def issue(self, address: bytes) -> bytes:
        """Return an id for the client at ``address``: 4 or 16 bytes."""
        return self._sign(int(self._clock()), address)

    def is_valid(self, connection_id: bytes, address: bytes) -> bool:
        """Return whether ``connection_id`` was issued to ``address`` within its lifetime."""
        shown, now = connection_id + address, self._clock()
        return now < self._proved.get(shown, 0) or self._prove(shown, int(now))

    def _prove(self, shown: bytes, now: int) -> bool:
        connection_id, address = shown[:_CONNECTION_ID_BYTES], shown[_CONNECTION_ID_BYTES:]
        latest = now + SKEW_SECONDS
        issued_at = latest - (latest - int.from_bytes(connection_id[:2], "big")) % _PERIOD_SECONDS
        if issued_at <= now - LIFETIME_SECONDS or issued_at < 0:
            return False
        if not secrets.compare_digest(connection_id, self._sign(issued_at, address)):
            return False
        if len(self._proved) >= MOST_REMEMBERED:
            self._proved.clear()
        self._proved[shown] = issued_at + LIFETIME_SECONDS
        return True

    def _sign(self, issued_at: int, address: bytes) -> bytes:
        moment = issued_at.to_bytes(8, "big")
        signature = blake2s(moment + address, digest_size=_SIGNATURE_BYTES, key=self._key)
        return moment[-2:] + signature.digest()
