"""One peer of one swarm: a value, shared by the store, the handout and the codecs."""

from __future__ import annotations

from typing import NamedTuple

from swarm.endpoints import (
    COMPACT_IPV4_BYTES,
    COMPACT_IPV6_BYTES,
    IPV4_BYTES,
    IPV6_BYTES,
    address_of,
    compact,
    spelt,
    split,
)

__all__ = [
    "COMPACT_IPV4_BYTES",
    "COMPACT_IPV6_BYTES",
    "IPV4_BYTES",
    "IPV6_BYTES",
    "Peer",
    "address_of",
    "compact",
    "spelt",
    "split",
]


class Peer(NamedTuple):
    """What a peer last said of itself."""

    #: 20 bytes that the client chose for this run (BEP 3).
    peer_id: bytes
    #: Where it accepts connections, in compact form: 4 or 16 bytes of address, 2 of port, both in
    #: network order. Endpoints are kept, drawn and sent as they are, many in one byte string.
    endpoint: bytes
    #: Bytes that it still lacks.
    left: int
    #: Those it is to be introduced to first: its rack. Empty where nobody asks for racks.
    group: bytes = b""

    @property
    def is_complete(self) -> bool:
        """Whether it has every byte."""
        return self.left == 0
