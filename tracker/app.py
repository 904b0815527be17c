"""The tracker, put together: the only place that builds its parts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from swarm.errors import ConfigurationError
from swarm.web import server
from tracker import options
from tracker.announce.announce import Announcer, Terms
from tracker.announce.http import AnnounceHttp
from tracker.api.images import ImagesApi
from tracker.catalogue import Catalogue
from tracker.control import Control
from tracker.conversions import Conversions
from tracker.demands import Demands
from tracker.registry.repository import Registry
from tracker.swarms.memory import MemorySwarms
from tracker.swarms.sweep import sweep_for_ever

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from oslo_config import cfg

    from tracker.swarms.store import Swarms

_LOG = logging.getLogger(__name__)

#: What a late announce is forgiven, on top of two intervals.
_SLACK_SECONDS = 15
#: A torrent of 1 TiB has 4 MiB; MariaDB takes packets of 16 MiB unless told otherwise.
_LIMIT_BYTES = 16 << 20
#: To Redis: announces that wait for it at one moment.
_CONNECTIONS = 32


async def serve(conf: cfg.ConfigOpts, stop: asyncio.Event) -> None:
    """Run the tracker until ``stop`` is set.

    Raises :class:`~swarm.errors.ConfigurationError` if it can't start with ``conf``.
    """
    async with running(conf) as urls:
        _log_ready(conf, urls)
        await stop.wait()


@contextlib.asynccontextmanager
async def running(conf: cfg.ConfigOpts) -> AsyncIterator[list[str]]:
    """Run the tracker during the block; yields the URLs that it listens on.

    Raises :class:`~swarm.errors.ConfigurationError` as :func:`serve` does.
    """
    options.check(conf)
    await asyncio.to_thread(_make_state_dir, Path(conf.tracker.state_dir))
    address, port = conf.tracker.listen_address, conf.tracker.listen_port
    async with contextlib.AsyncExitStack() as stack:
        registry = await stack.enter_async_context(Registry(conf.tracker.database_url))
        catalogue, swarms, demands = await _logic(conf, registry, stack)
        app = _application(conf, catalogue, Conversions(registry, demands), swarms, demands)
        yield await stack.enter_async_context(server.serving(app, address=address, port=port))


def _make_state_dir(path: Path) -> None:
    try:
        path.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"[tracker] state_dir: {path}: {error.strerror}") from error


async def _logic(
    conf: cfg.ConfigOpts, registry: Registry, stack: contextlib.AsyncExitStack
) -> tuple[Catalogue, Swarms, Demands]:
    """Build what is kept in memory, or shared over Redis; its tasks end with ``stack``."""
    build = _alone if conf.tracker.swarms_url == options.MEMORY else _shared
    return await build(conf, registry, stack)


def _lifetime_seconds(conf: cfg.ConfigOpts) -> int:
    return 2 * int(conf.tracker.announce_interval) + _SLACK_SECONDS


async def _alone(
    conf: cfg.ConfigOpts, registry: Registry, stack: contextlib.AsyncExitStack
) -> tuple[Catalogue, Swarms, Demands]:
    swarms = MemorySwarms(lifetime_seconds=_lifetime_seconds(conf))
    demands = Demands()
    catalogue = Catalogue(registry, swarms, demands)
    await catalogue.open_swarms()
    sweep = sweep_for_ever(swarms, every_seconds=conf.tracker.announce_interval)
    await stack.enter_async_context(_task(sweep))
    return catalogue, swarms, demands


async def _shared(
    conf: cfg.ConfigOpts, registry: Registry, stack: contextlib.AsyncExitStack
) -> tuple[Catalogue, Swarms, Demands]:
    try:
        from tracker.bulletin import Bulletin  # noqa: PLC0415 - redis is an extra
        from tracker.redis_client import connect  # noqa: PLC0415
        from tracker.replicas import SharedDemands  # noqa: PLC0415
        from tracker.swarms.redis import RedisSwarms  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            f"[tracker] swarms_url: {error}; install glance-swarm[redis]", option="swarms_url"
        ) from error
    url = conf.tracker.swarms_url
    # A notice that may be lost must not be sent again unnoticed; an announce may.
    talk = await stack.enter_async_context(connect(url, connections=2, retries=0))
    store = await stack.enter_async_context(connect(url, connections=_CONNECTIONS, retries=1))
    bulletin = Bulletin(talk)
    swarms = RedisSwarms(store, bulletin, lifetime_seconds=_lifetime_seconds(conf))
    demands = SharedDemands(bulletin)
    catalogue = Catalogue(registry, swarms, demands)
    await catalogue.open_swarms()
    await stack.enter_async_context(_task(bulletin.run(catalogue.open_swarms)))
    await stack.enter_async_context(_task(demands.keep_in_touch()))
    return catalogue, swarms, demands


def _application(
    conf: cfg.ConfigOpts,
    catalogue: Catalogue,
    conversions: Conversions,
    swarms: Swarms,
    demands: Demands,
) -> web.Application:
    terms = Terms(
        interval_seconds=conf.tracker.announce_interval,
        min_interval_seconds=conf.tracker.min_announce_interval,
        default_numwant=conf.tracker.default_numwant,
        max_numwant=conf.tracker.max_numwant,
    )
    control = Control(demands)
    app = server.application(limit_bytes=_LIMIT_BYTES)
    AnnounceHttp(Announcer(swarms, terms)).add_to(app.router)
    ImagesApi(catalogue, conversions).add_to(app.router)
    control.add_to(app.router)
    app.router.add_get("/readyz", partial(_readyz, swarms))

    async def let_go(_: web.Application) -> None:
        """End what would otherwise keep requests open."""
        demands.close()
        await control.close()

    app.on_shutdown.append(let_go)
    return app


async def _readyz(swarms: Swarms, _: web.Request) -> web.Response:
    await swarms.check()
    return web.json_response({"status": "ok"})


@contextlib.asynccontextmanager
async def _task(coroutine: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(coroutine)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _log_ready(conf: cfg.ConfigOpts, urls: list[str]) -> None:
    if conf.tracker.open:
        _LOG.warning("open: anybody who reaches %s can publish and fetch", " ".join(urls))
    for url in urls:
        _LOG.info("tracker listening on %s", url)
