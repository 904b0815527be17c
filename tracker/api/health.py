"""`/readyz`: whether announces can be answered, and if not, why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarm.errors import Unavailable
from swarm.messages import Health
from swarm.web.routes import Access, Route
from swarm.web.server import json_body

if TYPE_CHECKING:
    from aiohttp import web

    from tracker.swarms.store import Swarms


class HealthApi:
    """The handler."""

    def __init__(self, swarms: Swarms) -> None:
        self._swarms = swarms

    def routes(self) -> list[Route]:
        """Return the table; a balancer has no credentials."""
        return [
            Route(
                "GET",
                "/readyz",
                self._readyz,
                "Whether announces are answered",
                Access.ANYBODY,
                answer=Health,
                problems=(503,),
            )
        ]

    async def _readyz(self, _: web.Request) -> web.Response:
        try:
            await self._swarms.check()
        except Unavailable as error:
            raise Unavailable(f"announces are refused: {error.detail}") from error
        return json_body(Health())
