"""Where an announce over HTTP comes from: the address that others will be told.

It is where the connection comes from. What a client says of itself (`ip=`, a header) is not looked
at, or one node could put another's address, or a guest's, before a thousand others. Only a proxy
that the operator trusts may speak for somebody else: then the last entry of X-Forwarded-For counts,
which is the one that this proxy wrote; and without it the query's `ip=`.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, NamedTuple

from swarm.errors import MalformedRequest
from tracker.announce import codec

if TYPE_CHECKING:
    from collections.abc import Iterable


class Target(NamedTuple):
    """What an announce or a scrape asks for, before it is parsed; all bytes as they came."""

    is_scrape: bool
    #: That in the path, empty if there is none.
    key: bytes
    #: Without its question mark.
    query: bytes
    #: The last X-Forwarded-For header, if there is one.
    forwarded_for: bytes | None


class TrustedProxies:
    """The networks whose word is taken for where a request comes from."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = [ipaddress.ip_network(network) for network in networks]

    def origin(self, connected_from: bytes, target: Target) -> bytes:
        """Return the address of who asks: 4 or 16 bytes, as is that of the connection.

        Raises :class:`~swarm.errors.MalformedRequest` if a trusted proxy says what is no address.
        """
        if not self._networks or not self._is_trusted(connected_from):
            return connected_from
        if target.forwarded_for is not None:
            return _parse(target.forwarded_for.rpartition(b",")[2])
        said = codec.find_ip(target.query)
        return connected_from if said is None else _parse(said)

    def _is_trusted(self, address: bytes) -> bool:
        parsed = ipaddress.ip_address(address)
        return any(parsed in network for network in self._networks)


def _parse(text: bytes) -> bytes:
    try:
        return packed(text.strip().decode("ascii"))
    except ValueError:
        raise MalformedRequest("the proxy's word for your address is none") from None


def packed(address: str) -> bytes:
    """Return 4 or 16 bytes; IPv4 seen through an IPv6 socket is IPv4. Raises ValueError."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped.packed
    return parsed.packed
