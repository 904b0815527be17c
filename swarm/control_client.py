"""A node's side of the control channel: it stays connected, and says each change once.

Changes are noted without waiting and leave together. After a lost connection everything is said
again, so that the tracker may forget what it likes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from typing import TYPE_CHECKING, Protocol

import aiohttp
import pydantic

from swarm.control_messages import FROM_TRACKER, MOST_MESSAGE_BYTES, Hello, Report, Update, Welcome
from swarm.deadline import within
from swarm.endings import first_end
from swarm.messages import Convert

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swarm.messages import Refusal
    from swarm.tracker_client import TrackerClient

_LOG = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 10.0
_HEARTBEAT_SECONDS = 15.0
_CONNECT_SECONDS = 10.0
#: To wait for the welcome, and for a message to leave.
_ANSWER_SECONDS = 10.0
#: Between two reports; what changes meanwhile goes into the next.
_PAUSE_SECONDS = 0.02


class Listener(Protocol):
    """Who acts on what the tracker says. No method may block; none may raise."""

    def holdings(self) -> Mapping[bytes, int]:
        """Return all that this node has and wants: announce hash, and bytes that it lacks."""

    def connected(self, blocked: tuple[str, ...]) -> None:
        """Hear that the channel is up, and which networks must not be talked to."""

    def disconnected(self) -> None:
        """Hear that the channel is down; heard once, however often it can't be opened again."""

    def updated(self, update: Update) -> None:
        """Hear news."""

    async def asked(self, demand: Convert) -> Refusal | None:
        """Take a demand on; return why not, if it is refused."""


class ControlClient:
    """The channel of one node. :meth:`run` it in a task; the other methods note changes."""

    def __init__(self, tracker: TrackerClient, hello: Hello, listener: Listener) -> None:
        self._tracker = tracker
        self._hello = hello
        self._listener = listener
        self._has_news = asyncio.Event()
        self._changed: dict[bytes, int] = {}
        self._gone: set[bytes] = set()
        self._wanting: set[bytes] = set()
        self._report_seconds = _HEARTBEAT_SECONDS
        self.is_connected = False

    def have(self, announce_hash: bytes, left: int) -> None:
        """Say that this node holds a torrent, and lacks ``left`` bytes of it."""
        self._gone.discard(announce_hash)
        self._changed[announce_hash] = left
        self._has_news.set()

    def leave(self, announce_hash: bytes) -> None:
        """Say that this node holds a torrent no more."""
        self._changed.pop(announce_hash, None)
        self._wanting.discard(announce_hash)
        self._gone.add(announce_hash)
        self._has_news.set()

    def want(self, announce_hash: bytes) -> None:
        """Ask for more peers of a torrent."""
        self._wanting.add(announce_hash)
        self._has_news.set()

    async def run(self) -> None:
        """Stay connected until cancelled; the pause after a failure doubles up to 10 s."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                async with self._tracker.session.ws_connect(
                    f"{self._tracker.url}/v1/control",
                    heartbeat=_HEARTBEAT_SECONDS,
                    max_msg_size=MOST_MESSAGE_BYTES,
                    timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                ) as channel:
                    await self._begin(channel)
                    pause = _FIRST_PAUSE_SECONDS
                    await self._converse(channel)
                _LOG.warning("control channel to %s was closed", self._tracker.url)
            except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
                words = str(error) or type(error).__name__
                _LOG.warning("control channel to %s: %s", self._tracker.url, words)
            finally:
                if self.is_connected:
                    self.is_connected = False
                    self._listener.disconnected()
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _begin(self, channel: aiohttp.ClientWebSocketResponse[bool]) -> None:
        """Say hello, be welcomed, and say all that this node holds."""
        await channel.send_str(self._hello.model_dump_json())
        message = await within(_ANSWER_SECONDS, channel.receive())
        welcome = _understood(message.type, message.data)
        if not isinstance(welcome, Welcome):
            raise aiohttp.ClientError(f"no welcome, but {message.type.name}: {message.extra or ''}")
        _LOG.info("control channel to %s is up", self._tracker.url)
        self._report_seconds = welcome.report_seconds
        self.is_connected = True
        self._listener.connected(welcome.blocked)
        everything = Report(
            full=True, torrents={key.hex(): left for key, left in self._listener.holdings().items()}
        )
        self._changed.clear()
        self._gone.clear()
        await self._say(channel, everything)

    async def _converse(self, channel: aiohttp.ClientWebSocketResponse[bool]) -> None:
        """Carry messages both ways until either way ends."""
        await first_end(self._report(channel), self._hear(channel))

    async def _report(self, channel: aiohttp.ClientWebSocketResponse[bool]) -> None:
        while True:
            # Without news the report is an empty one, which says that all is as before.
            with contextlib.suppress(asyncio.TimeoutError):
                await within(self._report_seconds, self._has_news.wait())
            await self._say(channel, self._take())
            await asyncio.sleep(_PAUSE_SECONDS)

    def _take(self) -> Report:
        self._has_news.clear()
        report = Report(
            torrents={key.hex(): left for key, left in self._changed.items()},
            gone=tuple(key.hex() for key in self._gone),
            want=tuple(key.hex() for key in self._wanting),
        )
        self._changed.clear()
        self._gone.clear()
        self._wanting.clear()
        return report

    async def _say(
        self, channel: aiohttp.ClientWebSocketResponse[bool], message: Report | Refusal
    ) -> None:
        data = message.model_dump_json()
        await within(_ANSWER_SECONDS, channel.send_str(data))

    async def _hear(self, channel: aiohttp.ClientWebSocketResponse[bool]) -> None:
        async for message in channel:
            said = _understood(message.type, message.data)
            if isinstance(said, Update):
                self._listener.updated(said)
            elif isinstance(said, Convert):
                refusal = await self._listener.asked(said)
                if refusal is not None:
                    await self._say(channel, refusal)


def _understood(kind: aiohttp.WSMsgType, data: object) -> Welcome | Update | Convert | None:
    if kind is not aiohttp.WSMsgType.TEXT or not isinstance(data, str):
        return None
    try:
        return FROM_TRACKER.validate_json(data)
    except pydantic.ValidationError:
        _LOG.warning("control channel: message not understood: %.200s", data)
        return None
