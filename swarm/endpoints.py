"""Endpoints in compact form: address and port in network order, 6 or 18 bytes (BEP 7, 15, 23).

They are kept, drawn and sent as they are, many in one byte string.
"""

from __future__ import annotations

import ipaddress

_PORT_BYTES = 2
IPV4_BYTES = 4
IPV6_BYTES = 16
COMPACT_IPV4_BYTES = IPV4_BYTES + _PORT_BYTES
COMPACT_IPV6_BYTES = IPV6_BYTES + _PORT_BYTES


def compact(address: bytes, port: int) -> bytes:
    """Return the compact form of an endpoint."""
    return address + port.to_bytes(_PORT_BYTES, "big")


def address_of(endpoint: bytes) -> bytes:
    """Return the address in a compact endpoint: 4 or 16 bytes."""
    return endpoint[:-_PORT_BYTES]


def spelt(endpoint: bytes) -> tuple[str, int]:
    """Return a compact endpoint as people and libraries write it."""
    return str(ipaddress.ip_address(endpoint[:-_PORT_BYTES])), int.from_bytes(endpoint[-2:], "big")


def split(endpoints: bytes, size: int) -> list[bytes]:
    """Return the compact endpoints, of ``size`` bytes each, that ``endpoints`` is made of."""
    return [endpoints[i : i + size] for i in range(0, len(endpoints), size)]
