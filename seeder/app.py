"""The seeder's parts, put together; nothing else builds them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seeder.api import application
from seeder.discovery import Discovery
from seeder.raw import RawConverter
from seeder.records import Records
from seeder.seeding import Seeding
from seeder.sources.directory import DirectorySource
from seeder.staging import Staging
from seeder.variants import VariantMaker
from swarm.blocking import in_thread
from swarm.engine import Engine, EngineSettings
from swarm.membership import member
from swarm.messages import Variant
from swarm.token_file import node_key
from swarm.torrent_version import TorrentVersion
from swarm.tracker_client import TrackerClient
from swarm.web.server import serving

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from contextlib import AsyncExitStack

    from oslo_config import cfg

    from seeder.sources.source import Source

_LOG = logging.getLogger(__name__)

_GIB = 1 << 30


async def serve(conf: cfg.ConfigOpts, stop: asyncio.Event) -> None:
    """Run a seeder until ``stop`` is set.

    Raises :class:`~swarm.errors.ConfigurationError` for what it can't start with.
    """
    options = conf.seeder
    async with contextlib.AsyncExitStack() as stack:
        staging = Staging(Path(options.state_dir) / "staging")
        stack.enter_context(staging.opened())
        records = Records(staging.directory)
        await in_thread(records.load)
        source = await _source(conf, stack)
        settings = EngineSettings.of(conf.engine)
        key = await in_thread(lambda: node_key(conf))
        # The address that peers connect to is where the tracker sees the node come from.
        tracker = await stack.enter_async_context(
            TrackerClient(conf.swarm.tracker_url, local_address=settings.listen_address, token=key)
        )
        engine = await stack.enter_async_context(Engine(settings))
        maker = VariantMaker(
            source=source,
            staging=staging,
            records=records,
            raw=_raw(options),
            version=TorrentVersion(options.torrent_version),
        )
        seeding = Seeding(
            source=source,
            maker=maker,
            staging=staging,
            records=records,
            tracker=tracker,
            engine=engine,
            workers=options.workers,
        )
        discovery = Discovery(
            source=source,
            seeding=seeding,
            records=records,
            tracker=tracker,
            eager=_eager(options),
            poll_seconds=options.poll_interval,
        )
        urls = await stack.enter_async_context(
            serving(application(seeding), address=options.listen_address, port=options.listen_port)
        )
        _LOG.info("seeder ready: %s", ", ".join(urls))
        node = conf.swarm.node or socket.gethostname()
        await stack.enter_async_context(
            member(
                engine,
                tracker,
                role="seeder",
                node=node,
                on_convert=seeding.on_convert,
                on_connect=discovery.tracker_is_back,
            )
        )
        await _run_until(stop, seeding.run(), discovery.run())


async def _source(conf: cfg.ConfigOpts, stack: AsyncExitStack) -> Source:
    if conf.seeder.source == "directory":
        return DirectorySource(Path(conf.seeder.directory))
    # Keystone's and OpenStack's libraries cost memory that a directory does not need.
    from seeder.sources.glance import GlanceSource  # noqa: PLC0415
    from swarm.glance import Glance  # noqa: PLC0415

    return GlanceSource(await stack.enter_async_context(Glance(conf)))


def _raw(options: cfg.ConfigOpts.GroupAttr) -> RawConverter:
    return RawConverter(
        timeout_seconds=options.raw_timeout, size_limit_bytes=options.raw_size_limit * _GIB
    )


def _eager(options: cfg.ConfigOpts.GroupAttr) -> list[Variant]:
    return [Variant(name) for name in options.variants] if options.convert == "eager" else []


async def _run_until(stop: asyncio.Event, *parts: Coroutine[None, None, None]) -> None:
    """Run ``parts`` until ``stop`` is set, or one of them raises: none of them ends by itself."""
    tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(part) for part in parts]
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in (stopping, *tasks):
            task.cancel()
        await asyncio.gather(stopping, *tasks, return_exceptions=True)
