"""The agent's process, put together: the only place where its parts are built.

Parts start from the bottom up and stop in reverse: first no new request comes in, then transfers
are suspended, then the engine leaves its swarms, and the store is the last to close.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peer import api, options
from peer.transfers.delivery import DeliverySettings
from peer.transfers.runner import Runner, RunnerSettings
from peer.transfers.store import Store
from swarm.blocking import in_thread
from swarm.engine import Engine, EngineSettings
from swarm.errors import ConfigurationError
from swarm.membership import member
from swarm.token_file import node_key
from swarm.tracker_client import TrackerClient
from swarm.web import server

if TYPE_CHECKING:
    import asyncio

_LOG = logging.getLogger(__name__)


async def serve(conf: Any, stop: asyncio.Event) -> None:  # noqa: ANN401 - oslo.config has no types
    """Run the agent until ``stop`` is set.

    Raises :class:`~swarm.errors.ConfigurationError` if it can't start with what ``conf`` says.
    """
    options.check(conf.peer)
    state_dir = Path(conf.peer.state_dir)
    await in_thread(lambda: _make_directory(state_dir))
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(Store(state_dir / "transfers.sqlite"))
        engine_settings = EngineSettings.of(conf.engine)
        key = await in_thread(lambda: node_key(conf))
        # The address that peers connect to is where the tracker sees the node come from.
        tracker = await stack.enter_async_context(
            TrackerClient(
                conf.swarm.tracker_url, local_address=engine_settings.listen_address, token=key
            )
        )
        engine = await stack.enter_async_context(Engine(engine_settings))
        node = conf.swarm.node or socket.gethostname()
        await stack.enter_async_context(member(engine, tracker, role="agent", node=node))
        runner = Runner(
            store=store,
            engine=engine,
            tracker=tracker,
            settings=RunnerSettings(conf.peer.max_active, conf.peer.max_queued),
            delivery=_delivery_settings(conf.peer),
        )
        stack.push_async_callback(runner.stop)
        await runner.start()
        urls = await stack.enter_async_context(
            server.serving(
                api.application(runner, tracker),
                address=conf.peer.listen_address,
                port=conf.peer.listen_port,
                unix_socket=conf.peer.unix_socket or None,
            )
        )
        for url in urls:
            _LOG.info("peer agent listening on %s", url)
        await stop.wait()


def _delivery_settings(group: Any) -> DeliverySettings:  # noqa: ANN401 - oslo.config has no types
    return DeliverySettings(
        roots=list(group.roots),
        file_mode=options.file_mode(group.file_mode),
        resume_interval=group.resume_interval,
        prepare_timeout=group.prepare_timeout,
        stall_timeout=group.stall_timeout,
    )


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"[peer] state_dir: {path}: {error.strerror}") from error
