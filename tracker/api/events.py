"""`GET /v1/events`: what happens, as server-sent events, until the client or the tracker leaves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web
from pydantic import Field

from swarm.deadline import within
from swarm.messages import Message, Text
from swarm.web.routes import Access, Route
from swarm.web.server import read_query
from tracker.events import parse_types

if TYPE_CHECKING:
    from tracker.events import Events, Subscription

_STREAM = "text/event-stream"
#: A comment this often keeps balancers from closing a silent stream, and shows who is gone.
HEARTBEAT_SECONDS = 15.0
_HEARTBEAT = b": the tracker is here\n\n"
#: Who takes nothing for so long is gone.
_WRITE_SECONDS = 20.0
_HEADERS = {"Content-Type": _STREAM, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class EventsQuery(Message):
    """Which events."""

    type: Text | None = Field(
        None,
        description="types (`image.published`) or families (`image`), with commas between; all "
        "without it",
    )


class EventsApi:
    """The handler."""

    def __init__(self, events: Events, *, heartbeat_seconds: float = HEARTBEAT_SECONDS) -> None:
        self._events = events
        self._heartbeat_seconds = heartbeat_seconds

    def routes(self) -> list[Route]:
        """Return the table."""
        return [
            Route(
                "GET",
                "/v1/events",
                self._serve,
                "What happens, as it happens; goes on after the event of `Last-Event-ID`",
                Access.OPERATOR,
                query=EventsQuery,
                answer=_STREAM,
                problems=(503,),
            )
        ]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        types = parse_types(read_query(request, EventsQuery).type)
        after = request.headers.get("Last-Event-ID")
        with self._events.subscribe(types, after) as subscription:
            response = web.StreamResponse(headers=_HEADERS)
            await response.prepare(request)
            try:
                await self._stream(subscription, response)
            except (ConnectionError, asyncio.TimeoutError):
                if request.transport is not None:
                    request.transport.abort()  # else a client that does not read keeps it open
        return response

    async def _stream(self, subscription: Subscription, response: web.StreamResponse) -> None:
        # The first bytes show the client that it is heard, before anything happens.
        text: bytes | None = _HEARTBEAT
        while text is not None:
            await within(_WRITE_SECONDS, response.write(text or _HEARTBEAT))
            text = await subscription.take(self._heartbeat_seconds)
