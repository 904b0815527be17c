"""`GET /announce` and `GET /scrape`: the door for any BitTorrent client.

A refusal is a bencoded `failure reason` with status 200, which clients read and log; they take any
other status for a broken tracker. What is answered is decided here, whoever reads the request:
aiohttp, through the handlers, or ``door.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from swarm.errors import MalformedRequest, SwarmError
from tracker.announce import codec
from tracker.announce.origin import Target, TrustedProxies, packed
from tracker.metrics import Counters, reason_of

if TYPE_CHECKING:
    from swarm.web.server import Handler
    from tracker.announce.announce import Announcer
    from tracker.announce.query import AnnounceReply

CONTENT_TYPE = "text/plain"


class AnnounceHttp:
    """Answers to targets, and the handlers that put them before aiohttp."""

    def __init__(
        self,
        announcer: Announcer,
        proxies: TrustedProxies | None = None,
        counters: Counters | None = None,
    ) -> None:
        self._announcer = announcer
        self._proxies = proxies or TrustedProxies()
        self._counters = counters or Counters()

    @property
    def is_immediate(self) -> bool:
        """Whether :meth:`answer_now` can be used."""
        return self._announcer.is_immediate

    def answer_now(self, target: Target, connected_from: bytes) -> bytes:
        """Return the body that answers ``target``, asked over a connection from an address."""
        self._count(target, connected_from)
        try:
            address = self._proxies.origin(connected_from, target)
            if target.is_scrape:
                hashes = codec.parse_scrape(target.query)
                files = self._announcer.scrape_now(hashes, address, target.key)
                return codec.encode_scrape(files)
            query = codec.parse_announce(target.query)
            return self._found(self._announcer.announce_now(query, address, target.key))
        except SwarmError as error:
            return self._refuse(error)

    async def answer(self, target: Target, connected_from: bytes) -> bytes:
        """Do as :meth:`answer_now`, for a store that has to be waited for."""
        self._count(target, connected_from)
        try:
            address = self._proxies.origin(connected_from, target)
            if target.is_scrape:
                hashes = codec.parse_scrape(target.query)
                files = await self._announcer.scrape(hashes, address, target.key)
                return codec.encode_scrape(files)
            query = codec.parse_announce(target.query)
            return self._found(await self._announcer.announce(query, address, target.key))
        except SwarmError as error:
            return self._refuse(error)

    def _count(self, target: Target, connected_from: bytes) -> None:
        traffic = self._counters.http.of(connected_from)
        if target.is_scrape:
            traffic.scrapes += 1
        else:
            traffic.announces += 1

    def _found(self, reply: AnnounceReply) -> bytes:
        self._counters.handed_out(reply.peers, reply.external_ip)
        return codec.encode_announce(reply)

    def _refuse(self, error: SwarmError) -> bytes:
        self._counters.http.failures[reason_of(error)] += 1
        return codec.encode_failure(error.detail)

    def count_bytes(self, connected_from: bytes, received: int, sent: int) -> None:
        """Count the bytes of a request and of its answer."""
        traffic = self._counters.http.of(connected_from)
        traffic.rx_bytes += received
        traffic.tx_bytes += sent

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the routes; no HEAD, since an announce changes the swarm."""
        for name in ("announce", "scrape"):
            handler = self._handler(is_scrape=name == "scrape")
            router.add_get(f"/{name}", handler, allow_head=False)
            router.add_get(f"/{name}/{{key}}", handler, allow_head=False)

    def _handler(self, *, is_scrape: bool) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            forwarded = request.headers.getall("X-Forwarded-For", [])
            target = Target(
                is_scrape,
                request.match_info.get("key", "").encode("utf-8", "surrogateescape"),
                _raw_query(request),
                forwarded[-1].encode("utf-8", "surrogateescape") if forwarded else None,
            )
            try:
                connected_from = _connected_from(request)
                body = await self.answer(target, connected_from)
                self.count_bytes(connected_from, _size(request), len(body))
            except SwarmError as error:
                body = self._refuse(error)
            return web.Response(body=body, content_type=CONTENT_TYPE)

        return handle


def _raw_query(request: web.Request) -> bytes:
    """Return the query as it came: aiohttp's own decoding takes it for text."""
    target = request.raw_path.partition("#")[0]
    return target.partition("?")[2].encode("utf-8", "surrogateescape")


def _size(request: web.Request) -> int:
    """Return the size of a request's head, but for a few bytes."""
    return len(request.raw_path) + sum(len(k) + len(v) + 4 for k, v in request.raw_headers)


def _connected_from(request: web.Request) -> bytes:
    try:
        return packed(request.remote or "")
    except ValueError:
        raise MalformedRequest("your address is not known: the connection is gone") from None
