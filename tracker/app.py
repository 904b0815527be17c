"""The tracker, put together: the only place that builds its parts."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from swarm.descriptors import allow_descriptors
from swarm.endings import running as task
from swarm.errors import ConfigurationError
from swarm.listeners import TCP, UDP, bind_all
from swarm.web import server
from swarm.web.auth import Guard
from swarm.web.openapi import with_document
from swarm.web.routes import add_routes
from tracker import options
from tracker.announce import udp
from tracker.announce.announce import Announcer, Terms
from tracker.announce.connection_id import ConnectionIds
from tracker.announce.door import Doorkeeper
from tracker.announce.http import AnnounceHttp
from tracker.announce.origin import TrustedProxies
from tracker.announce.udp_answers import AnnounceUdp
from tracker.api.events import EventsApi
from tracker.api.health import HealthApi
from tracker.api.images import ImagesApi
from tracker.api.metrics import MetricsApi
from tracker.api.nodes import NodesApi
from tracker.api.swarms import SwarmsApi
from tracker.catalogue import Catalogue
from tracker.control.channel import Control
from tracker.control.happenings import Happenings
from tracker.control.keys import KeyWatch
from tracker.control.reports import Reports
from tracker.control.roster import Roster
from tracker.conversions import Conversions
from tracker.demands import Demands
from tracker.events import Events
from tracker.handout.table import POLICIES
from tracker.metrics import Counters
from tracker.nodes.authority import TrackerAuthority
from tracker.nodes.nodes import Nodes
from tracker.nodes.operator_token import operator_token
from tracker.registry.repository import Registry
from tracker.swarms.memory import MemorySwarms
from tracker.swarms.sweep import sweep_for_ever

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aiohttp import web
    from oslo_config import cfg

    from swarm.web.routes import Route
    from tracker.swarms.store import Swarms

_LOG = logging.getLogger(__name__)

#: What a late announce is forgiven, on top of two intervals.
_SLACK_SECONDS = 15
#: A torrent of 1 TiB has 4 MiB; MariaDB takes packets of 16 MiB unless told otherwise.
_LIMIT_BYTES = 16 << 20
#: A node on the control channel is heard this often in the time of one announce.
_REPORTS_PER_INTERVAL = 3
#: To Redis: announces that wait for it at one moment.
_CONNECTIONS = 32
#: Allocations before a look at the youngest objects; of those looks, and of the next, before one
#: goes deeper.
_COLLECTOR_THRESHOLDS = (50_000, 20, 50)
#: Open files beside the connections: databases, sockets that listen, libraries.
_OTHER_DESCRIPTORS = 200


async def serve(conf: cfg.ConfigOpts, stop: asyncio.Event) -> None:
    """Run the tracker until ``stop`` is set.

    Raises :class:`~swarm.errors.ConfigurationError` if it can't start with ``conf``.
    """
    async with running(conf) as urls:
        for url in urls:
            _LOG.info("tracker listening on %s", url)
        _calm_collector()
        await stop.wait()


def _calm_collector() -> None:
    """Have the garbage collector look through what lives long less often.

    Ten thousand channels are millions of objects that stay. With Python's defaults looking through
    them again and again took 30 % of the processor, in a benchmark where 3000 nodes report once a
    second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTOR_THRESHOLDS)


@contextlib.asynccontextmanager
async def running(conf: cfg.ConfigOpts) -> AsyncIterator[list[str]]:
    """Run the tracker during the block; yields the URLs that it listens on.

    Raises :class:`~swarm.errors.ConfigurationError` as :func:`serve` does.
    """
    options.check(conf)
    state_dir = Path(conf.tracker.state_dir)
    await asyncio.to_thread(_make_state_dir, state_dir)
    token = await asyncio.to_thread(operator_token, conf.tracker.operator_token, state_dir)
    async with contextlib.AsyncExitStack() as stack:
        parts = await _parts(conf, stack)
        app = server.application(limit_bytes=_LIMIT_BYTES, observe=parts.counters.responses.observe)
        proxies = TrustedProxies(conf.tracker.trusted_proxies)
        announces = AnnounceHttp(parts.announcer, proxies, parts.counters)
        announces.add_to(app.router)
        guard = Guard(TrackerAuthority(parts.nodes, token, trusts_callers=options.is_local(conf)))
        tables = with_document(_tables(parts), title="glance-swarm tracker")
        add_routes(app.router, tables, guard)
        app.on_shutdown.append(_letting_go(parts))
        ids = ConnectionIds(conf.tracker.udp_secret.encode() or None)
        datagrams = AnnounceUdp(parts.announcer, ids, parts.counters)
        urls = await stack.enter_async_context(_ports(conf, app, announces, datagrams))
        if parts.nodes.is_open:
            _LOG.warning("open: anybody who reaches %s can publish and fetch", " ".join(urls))
        yield urls


@dataclass(frozen=True)
class _Parts:
    """What the doors open to."""

    registry: Registry
    nodes: Nodes
    catalogue: Catalogue
    swarms: Swarms
    demands: Demands
    events: Events
    counters: Counters
    announcer: Announcer
    control: Control


async def _parts(conf: cfg.ConfigOpts, stack: contextlib.AsyncExitStack) -> _Parts:
    """Build everything behind the doors; its tasks end with ``stack``."""
    registry = await stack.enter_async_context(Registry(conf.tracker.database_url))
    nodes = await _nodes(conf, registry)
    catalogue, swarms, demands, events = await _logic(conf, registry, nodes, stack)
    await stack.enter_async_context(task(nodes.watch(), name="watch nodes"))
    roster, counters, happenings = Roster(), Counters(), Happenings(events)
    nodes.on_change(happenings.change)
    announcer = Announcer(
        swarms,
        _terms(conf),
        policy=POLICIES[conf.tracker.handout],
        gate=nodes,
        attendance=roster,
    )
    interval = conf.tracker.announce_interval
    reports = Reports(
        swarms,
        announcer,
        roster,
        refresh_seconds=interval,
        counters=counters,
        on_change=happenings.membership,
    )
    control = Control(
        roster,
        reports,
        demands,
        group=announcer.group,
        rack_of=nodes.rack_of,
        report_seconds=interval / _REPORTS_PER_INTERVAL,
        counters=counters,
        on_presence=happenings.presence,
    )
    KeyWatch(nodes, control)
    catalogue.on_withdrawn = reports.withdraw
    await stack.enter_async_context(task(reports.tidy_for_ever(), name="tidy roster"))
    return _Parts(registry, nodes, catalogue, swarms, demands, events, counters, announcer, control)


def _tables(parts: _Parts) -> list[Route]:
    """Return the routes of all APIs."""
    nodes, control = parts.nodes, parts.control
    metrics = MetricsApi(
        parts.counters,
        parts.swarms,
        parts.registry,
        parts.events,
        control_channels=control.channel_counts,
        nodes=nodes.counts,
    )
    swarms = SwarmsApi(
        parts.registry, parts.swarms, rack_of=lambda address: nodes.rack_of(address).decode()
    )
    return [
        *ImagesApi(parts.catalogue, Conversions(parts.registry, parts.demands)).routes(),
        *NodesApi(nodes, is_connected=control.is_connected).routes(),
        *swarms.routes(),
        *EventsApi(parts.events).routes(),
        *control.routes(),
        *HealthApi(parts.swarms).routes(),
        *metrics.routes(),
    ]


@contextlib.asynccontextmanager
async def _ports(
    conf: cfg.ConfigOpts, app: web.Application, announces: AnnounceHttp, datagrams: AnnounceUdp
) -> AsyncIterator[list[str]]:
    """Listen: on TCP for ``app``, with announces answered at the door, and on UDP for announces."""
    kinds = (TCP, UDP) if conf.tracker.udp else (TCP,)
    sockets = bind_all(conf.tracker.listen_address, conf.tracker.listen_port, kinds=kinds)
    most = conf.tracker.max_connections
    most = min(most, allow_descriptors(most + _OTHER_DESCRIPTORS) - _OTHER_DESCRIPTORS)

    def door(inner: web.Server) -> Doorkeeper:
        return Doorkeeper(
            announces,
            inner,
            most_connections=most,
            count_inner=lambda: len(inner.connections),
        )

    tcp = [sock for sock in sockets if sock.type == TCP]
    async with (
        udp.serving(datagrams, [sock for sock in sockets if sock.type == UDP]),
        server.serving(app, sockets=tcp, front=door) as urls,
    ):
        yield urls


def _make_state_dir(path: Path) -> None:
    try:
        path.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"[tracker] state_dir: {path}: {error.strerror}") from error


async def _nodes(conf: cfg.ConfigOpts, registry: Registry) -> Nodes:
    is_local = options.is_local(conf)
    nodes = Nodes(registry.nodes, is_open=conf.tracker.open, opens_when_empty=is_local)
    await nodes.refresh()
    return nodes


async def _logic(
    conf: cfg.ConfigOpts, registry: Registry, nodes: Nodes, stack: contextlib.AsyncExitStack
) -> tuple[Catalogue, Swarms, Demands, Events]:
    """Build what is kept in memory, or shared over Redis; its tasks end with ``stack``."""
    build = _alone if conf.tracker.swarms_url == options.MEMORY else _shared
    return await build(conf, registry, nodes, stack)


def _lifetime_seconds(conf: cfg.ConfigOpts) -> int:
    return 2 * int(conf.tracker.announce_interval) + _SLACK_SECONDS


async def _alone(
    conf: cfg.ConfigOpts, registry: Registry, _: Nodes, stack: contextlib.AsyncExitStack
) -> tuple[Catalogue, Swarms, Demands, Events]:
    swarms = MemorySwarms(lifetime_seconds=_lifetime_seconds(conf))
    demands, events = Demands(), Events()
    catalogue = Catalogue(registry, swarms, demands, events)
    await catalogue.open_swarms()
    sweep = sweep_for_ever(swarms, every_seconds=conf.tracker.announce_interval)
    await stack.enter_async_context(task(sweep, name="sweep of swarms"))
    return catalogue, swarms, demands, events


async def _shared(
    conf: cfg.ConfigOpts, registry: Registry, nodes: Nodes, stack: contextlib.AsyncExitStack
) -> tuple[Catalogue, Swarms, Demands, Events]:
    try:
        from tracker.bulletin import Bulletin  # noqa: PLC0415 - redis is an extra
        from tracker.redis_client import connect  # noqa: PLC0415
        from tracker.replicas import SharedDemands, share_nodes  # noqa: PLC0415
        from tracker.shared_events import SharedEvents  # noqa: PLC0415
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
    demands, events = SharedDemands(bulletin), SharedEvents(bulletin)
    share_nodes(nodes, bulletin)
    catalogue = Catalogue(registry, swarms, demands, events)
    await catalogue.open_swarms()
    await stack.enter_async_context(task(bulletin.run(catalogue.open_swarms), name="bulletin"))
    await stack.enter_async_context(task(demands.keep_in_touch(), name="roll"))
    return catalogue, swarms, demands, events


def _terms(conf: cfg.ConfigOpts) -> Terms:
    return Terms(
        interval_seconds=conf.tracker.announce_interval,
        min_interval_seconds=conf.tracker.min_announce_interval,
        default_numwant=conf.tracker.default_numwant,
        max_numwant=conf.tracker.max_numwant,
    )


def _letting_go(parts: _Parts) -> Callable[[web.Application], Awaitable[None]]:
    async def let_go(_: web.Application) -> None:
        """End what would otherwise keep requests open."""
        parts.demands.close()
        parts.events.close()
        await parts.control.close()

    return let_go
