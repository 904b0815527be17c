"""`GET /announce` and `GET /scrape`: the door for any BitTorrent client.

A refusal is a bencoded `failure reason` with status 200, which clients read and log; they take any
other status for a broken tracker.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from aiohttp import web

from swarm.errors import MalformedRequest, SwarmError
from tracker.announce import codec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swarm.web.server import Handler
    from tracker.announce.announce import Announcer


class AnnounceHttp:
    """The two handlers."""

    def __init__(self, announcer: Announcer) -> None:
        self._announcer = announcer

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the routes; no HEAD, since an announce changes the swarm."""
        router.add_get("/announce", _bencoded(self._announce), allow_head=False)
        router.add_get("/scrape", _bencoded(self._scrape), allow_head=False)

    async def _announce(self, request: web.Request) -> bytes:
        query = codec.parse_announce(_raw_query(request))
        reply = await self._announcer.announce(query, _address(request))
        return codec.encode_announce(reply)

    async def _scrape(self, request: web.Request) -> bytes:
        hashes = codec.parse_scrape(_raw_query(request))
        return codec.encode_scrape(await self._announcer.scrape(hashes, _address(request)))


def _bencoded(answer: Callable[[web.Request], Awaitable[bytes]]) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        try:
            body = await answer(request)
        except SwarmError as error:
            body = codec.encode_failure(error.detail)
        return web.Response(body=body, content_type="text/plain")

    return handle


def _raw_query(request: web.Request) -> bytes:
    """Return the query as it came: aiohttp's own decoding takes it for text."""
    target = request.raw_path.partition("#")[0]
    return target.partition("?")[2].encode("utf-8", "surrogateescape")


def _address(request: web.Request) -> bytes:
    """Return where the connection comes from; IPv4 seen through an IPv6 socket is IPv4."""
    try:
        address = ipaddress.ip_address(request.remote or "")
    except ValueError:
        raise MalformedRequest("your address is not known: the connection is gone") from None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.packed
    return address.packed
