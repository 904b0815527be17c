"""Connections to Redis: short time-outs, a bounded number, and errors of ours.

An agent or a BitTorrent client waits for every answer that the tracker gets from Redis, so a Redis
that is away has to be noticed within seconds, and once it is back the next call finds it.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError

from swarm.errors import ConfigurationError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

#: To connect, and for one answer.
_TIMEOUT_SECONDS = 2.0
#: For one of the connections, when all are in use: a thousand hosts may boot at once.
_POOL_SECONDS = 3.0


def connect(url: str, *, connections: int, retries: int) -> Redis:
    """Return a client of the server at ``url``; nothing is connected yet.

    ``retries`` is how often a call is made again at once when its connection turns out to be gone,
    as all are after a restart of Redis. Raises :class:`~swarm.errors.ConfigurationError` for a URL
    that is none.
    """
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=connections,
            timeout=_POOL_SECONDS,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), retries, supported_errors=(ConnectionLost,)),
        )
    except ValueError as error:
        raise ConfigurationError(f"[tracker] swarms_url: {error}", option="swarms_url") from error
    return Redis.from_pool(pool)


@contextlib.contextmanager
def reached() -> Iterator[None]:
    """Raise :class:`~swarm.errors.Unavailable` for whatever keeps Redis from answering."""
    try:
        yield
    except (RedisError, OSError) as error:
        # No more than that: a BitTorrent client's log is no place for the addresses in the rest.
        raise Unavailable(
            f"the store of swarms can't be reached ({type(error).__name__})"
        ) from error
