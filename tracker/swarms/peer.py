"""One peer of one swarm: a value, shared by the store, the handout and the codec."""

from __future__ import annotations

from typing import NamedTuple


class Endpoint(NamedTuple):
    """Where a peer accepts connections."""

    #: In network order: 4 bytes of IPv4, or 16 of IPv6.
    address: bytes
    port: int

    @property
    def compact(self) -> bytes:
        """Address and port as peers are listed in answers (BEP 7, 15, 23): 6 or 18 bytes."""
        return self.address + self.port.to_bytes(2, "big")


class Peer(NamedTuple):
    """What a peer last said of itself."""

    #: 20 bytes that the client chose for this run (BEP 3).
    peer_id: bytes
    endpoint: Endpoint
    #: Bytes that it still lacks.
    left: int

    @property
    def is_complete(self) -> bool:
        """Whether it has every byte."""
        return self.left == 0
