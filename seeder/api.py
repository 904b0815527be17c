"""The seeder's small API: what it seeds, and whether it lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarm.messages import SeedList
from swarm.web import server

if TYPE_CHECKING:
    from aiohttp import web

    from seeder.seeding import Seeding


def application(seeding: Seeding) -> web.Application:
    """Return the application: ``GET /v1/seeds``, ``GET /healthz``."""

    async def list_seeds(_: web.Request) -> web.Response:
        return server.json_body(SeedList(seeds=seeding.seeds()))

    app = server.application()
    app.router.add_get("/v1/seeds", list_seeds)
    return app
