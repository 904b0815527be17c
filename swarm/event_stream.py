"""A stream of server-sent events from a client's side: it is read, and taken up when it is lost.

The form is that of WHATWG HTML, section 9.2, as far as our tracker uses it: one ``data`` line.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
import pydantic
from pydantic import TypeAdapter

from swarm.errors import Unavailable
from swarm.events import AnyEvent, EventsMissed
from swarm.http_client import error_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Mapping

    from swarm.events import Event
    from swarm.http_client import HttpClient

_LOG = logging.getLogger(__name__)

#: Three heartbeats: a stream that is silent for longer is dead.
_SILENCE_SECONDS = 45.0
_CONNECT_SECONDS = 10.0
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 10.0
#: Events whose ids are kept: who comes back may be told some again.
_REMEMBERED = 1024

_ADAPTER: TypeAdapter[Event] = TypeAdapter(AnyEvent)


class Frame(NamedTuple):
    """One event as it comes."""

    id: str
    data: bytes


async def follow(
    client: HttpClient, path: str, query: Mapping[str, str], *, after: str | None = None
) -> AsyncIterator[Event]:
    """Yield events without end, each once; a lost stream is taken up where it was lost.

    Raises the error that the service refuses with, unless it may pass.
    """
    seen: deque[str] = deque(maxlen=_REMEMBERED)
    pause, is_gap_told = _FIRST_PAUSE_SECONDS, True
    while True:
        try:
            async for frame in _frames(client, path, query, after):
                pause, is_gap_told = _FIRST_PAUSE_SECONDS, False
                after = frame.id or after
                if frame.id and frame.id in seen:
                    continue
                seen.append(frame.id)
                event = _event(frame)
                if event is not None:
                    yield event
            _LOG.info("events of %s: the stream has ended; taking it up again", client.url)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError, Unavailable) as error:
            _LOG.warning("events of %s: %s", client.url, str(error) or type(error).__name__)
            if after is None and not is_gap_told:
                # There is no id to go on from.
                is_gap_told = True
                yield EventsMissed(reason="the connection to the tracker was lost")
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


async def _frames(
    client: HttpClient, path: str, query: Mapping[str, str], after: str | None
) -> AsyncIterator[Frame]:
    headers = {"Accept": "text/event-stream"}
    if after is not None:
        headers["Last-Event-ID"] = after
    timeout = aiohttp.ClientTimeout(
        total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SILENCE_SECONDS
    )
    async with client.session.get(
        client.url + path, params=query, headers=headers, timeout=timeout
    ) as response:
        if not response.ok:
            raise await error_of(response)
        async for frame in parse(response.content):
            yield frame


async def parse(lines: AsyncIterable[bytes]) -> AsyncIterator[Frame]:
    """Yield the events in a stream's lines; one that is cut short is none."""
    event_id, data = "", b""
    async for line in lines:
        if line in {b"\n", b"\r\n"}:
            if data:
                yield Frame(event_id, data)
            event_id, data = "", b""
        name, _, value = line.rstrip(b"\r\n").partition(b":")
        if name == b"id":
            event_id = value.strip().decode("utf-8", "replace")
        elif name == b"data":
            data = value.strip()


def _event(frame: Frame) -> Event | None:
    try:
        return _ADAPTER.validate_json(frame.data)
    except pydantic.ValidationError:
        # A newer tracker may say more than we understand.
        _LOG.warning("event not understood: %.200r", frame.data)
        return None
