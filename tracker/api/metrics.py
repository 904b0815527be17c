"""`GET /metrics`: what the tracker counts and what there is, for Prometheus."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from swarm.deadline import within
from swarm.errors import Unavailable
from swarm.web.routes import Access, Route
from tracker.metrics import Collector, Counters, Moment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tracker.events import Events
    from tracker.registry.repository import Registry
    from tracker.swarms.store import Swarms, Totals

_LOG = logging.getLogger(__name__)

_LOOK_SECONDS = 5.0


class MetricsApi:
    """The handler, and where it looks."""

    def __init__(
        self,
        counters: Counters,
        swarms: Swarms,
        registry: Registry,
        events: Events,
        *,
        control_channels: Callable[[], Mapping[str, int]] = dict,
        nodes: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self._counters = counters
        self._swarms = swarms
        self._registry = registry
        self._events = events
        self._control_channels = control_channels
        self._nodes = nodes
        self._process = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._process)
        GCCollector(registry=self._process)

    def routes(self) -> list[Route]:
        """Return the table; who may see the port may see the figures, which name nobody."""
        return [
            Route(
                "GET",
                "/metrics",
                self._serve,
                "Metrics for Prometheus",
                Access.ANYBODY,
                answer="text/plain",
            )
        ]

    async def _serve(self, _: web.Request) -> web.Response:
        collector = Collector(self._counters, await self._moment())
        body = generate_latest(collector) + generate_latest(self._process)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _moment(self) -> Moment:
        return Moment(
            totals=await self._totals(),
            images=await self._images(),
            control_channels=self._control_channels(),
            nodes=self._nodes(),
            event_subscribers=self._events.subscriber_count,
            events_dropped=self._events.dropped,
        )

    async def _totals(self) -> Totals | None:
        try:
            return await within(_LOOK_SECONDS, self._swarms.totals())
        except (Unavailable, asyncio.TimeoutError) as error:
            _LOG.warning("metrics without swarms: %s", error)
            return None

    async def _images(self) -> Mapping[tuple[str, str], int] | None:
        try:
            return await within(_LOOK_SECONDS, self._registry.variant_counts())
        except Exception as error:  # noqa: BLE001 - whatever ails the database: `up` says so
            _LOG.warning("metrics without images: %r", error)
            return None
