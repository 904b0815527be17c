"""Where a request comes from, as bytes."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from swarm.errors import MalformedRequest

if TYPE_CHECKING:
    from aiohttp import web


def address_of(request: web.Request) -> bytes:
    """Return the address of the connection: 4 or 16 bytes; IPv4 seen through IPv6 is IPv4.

    Raises :class:`~swarm.errors.MalformedRequest` if the connection is gone.
    """
    try:
        address = ipaddress.ip_address(request.remote or "")
    except ValueError:
        raise MalformedRequest("your address is not known: the connection is gone") from None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.packed
    return address.packed
