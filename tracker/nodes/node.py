"""A node as the tracker knows it, and what its description must be. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swarm.errors import MalformedRequest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class NodeKey:
    """What is kept of a key. Times are UTC without a zone, as in the registry."""

    #: Of ``swarm/node_key.py``.
    hash: str
    created_at: datetime
    #: When it ends, if another one took its place; None: not before it is replaced or revoked.
    expires_at: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Return whether it opens the door at ``now``."""
        return self.expires_at is None or now < self.expires_at


@dataclass(frozen=True)
class Node:
    """A host that runs a seeder or an agent, and the keys that it may show."""

    name: str
    #: Empty if it is not known.
    rack: str
    zone: str
    #: Where it may come from; no other node has an address in common with it.
    networks: tuple[Network, ...]
    may_publish: bool
    created_at: datetime
    #: None of them: its keys were revoked.
    keys: tuple[NodeKey, ...] = ()

    def is_at(self, address: bytes) -> bool:
        """Return whether ``address`` (4 or 16 bytes) is one of its own."""
        found = ipaddress.ip_address(address)
        return any(found in network for network in self.networks)

    def overlaps(self, other: Node) -> bool:
        """Return whether they have an address in common."""
        return any(mine.overlaps(its) for mine in self.networks for its in other.networks)

    @property
    def addresses(self) -> list[str]:
        """Its networks as they are written: ``10.0.0.5/32``."""
        return [str(network) for network in self.networks]


def networks_of(addresses: Iterable[str]) -> tuple[Network, ...]:
    """Return the networks that ``addresses`` (CIDR, or the address of one host) name, each once.

    Raises :class:`~swarm.errors.MalformedRequest` that quotes the first one that is none.
    """
    return tuple(dict.fromkeys(_network(text) for text in addresses))


def _network(text: str) -> Network:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise MalformedRequest(
            f"addresses: {str(error)[:200]}; write 10.0.0.5, 10.0.8.0/24 or 2001:db8::/64"
        ) from None
    if isinstance(network, ipaddress.IPv6Network):
        if network.network_address.ipv4_mapped is not None:
            raise MalformedRequest(f"addresses: {text} is IPv4 written as IPv6; write it as IPv4")
        if network.network_address.scope_id is not None:
            raise MalformedRequest(f"addresses: {text} has a zone, which differs from host to host")
    return network
