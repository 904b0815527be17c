"""`GET /v1/control`: the WebSocket between the tracker and its seeders.

A seeder says who it is, then gets demands and sends refusals. What it converts and publishes goes
over the API, so a lost channel loses nothing: a seeder that connects again is asked again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pydantic
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from swarm.deadline import within
from swarm.messages import Convert, Hello, Refusal
from tracker.demands import MOST_DEMANDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tracker.demands import Demands

_LOG = logging.getLogger(__name__)

_HELLO_SECONDS = 10.0
_HEARTBEAT_SECONDS = 15.0
_CLOSE_SECONDS = 1.0
_MOST_MESSAGE_BYTES = 64 << 10
#: Demands that wait for a slow seeder; with more, its channel is given up. One that connects may be
#: sent all there are at once.
_QUEUE_LENGTH = 2 * MOST_DEMANDS


class Channel:
    """The channel of one seeder: a bounded queue, and the task that empties it."""

    def __init__(self, node: str, socket: web.WebSocketResponse, *, queue_length: int) -> None:
        self.node = node
        self._socket = socket
        self._outgoing: asyncio.Queue[Convert] = asyncio.Queue(queue_length)
        self._is_given_up = asyncio.Event()

    def ask(self, demand: Convert) -> None:
        """Queue a demand; a seeder that has stopped reading loses its channel."""
        try:
            self._outgoing.put_nowait(demand)
        except asyncio.QueueFull:
            _LOG.warning("seeder %s does not read its demands: channel given up", self.node)
            self._is_given_up.set()

    async def run(self, demands: Demands) -> None:
        """Carry messages both ways until one side closes, or the seeder is given up."""
        tasks = [
            asyncio.create_task(self._receive(demands), name=f"receive from {self.node}"),
            asyncio.create_task(self._send(), name=f"send to {self.node}"),
            asyncio.create_task(self._is_given_up.wait(), name=f"give up {self.node}"),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end(tasks)

    async def _send(self) -> None:
        while True:
            demand = await self._outgoing.get()
            await self._socket.send_str(demand.model_dump_json())

    async def _receive(self, demands: Demands) -> None:
        async for message in self._socket:
            refusal = _refusal(message, self.node)
            if refusal is not None:
                demands.refuse(self.node, refusal)


async def _end(tasks: Iterable[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        # A connection that breaks while a demand leaves is what channels do.
        if isinstance(result, Exception) and not isinstance(result, ConnectionError):
            raise result


def _refusal(message: WSMessage, node: str) -> Refusal | None:
    try:
        return Refusal.model_validate_json(message.data)
    except pydantic.ValidationError:
        _LOG.warning("seeder %s: message not understood: %.200r", node, message.data)
        return None


class Control:
    """The handler, and all open channels."""

    def __init__(self, demands: Demands, *, queue_length: int = _QUEUE_LENGTH) -> None:
        self._demands = demands
        self._queue_length = queue_length
        self._sockets: set[web.WebSocketResponse] = set()

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the route."""
        router.add_get("/v1/control", self._serve, allow_head=False)

    async def close(self) -> None:
        """Close every channel; seeders come back when a tracker does."""
        sockets = list(self._sockets)
        await asyncio.gather(*(_close(s, WSCloseCode.GOING_AWAY, "shutdown") for s in sockets))

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(
            timeout=_CLOSE_SECONDS, heartbeat=_HEARTBEAT_SECONDS, max_msg_size=_MOST_MESSAGE_BYTES
        )
        await socket.prepare(request)
        self._sockets.add(socket)
        try:
            hello = await _hello(socket)
            if hello is None:
                await _close(socket, WSCloseCode.POLICY_VIOLATION, "the first message is a hello")
            else:
                await self._run(Channel(hello.node, socket, queue_length=self._queue_length))
                await _close(socket, WSCloseCode.TRY_AGAIN_LATER, "channel given up")
        finally:
            self._sockets.discard(socket)
            if request.transport is not None:
                request.transport.abort()  # else a seeder that does not read keeps it open
        return socket

    async def _run(self, channel: Channel) -> None:
        _LOG.info("seeder %s is connected", channel.node)
        self._demands.join(channel)
        try:
            await channel.run(self._demands)
        finally:
            self._demands.leave(channel)
            _LOG.info("seeder %s is gone", channel.node)


async def _hello(socket: web.WebSocketResponse) -> Hello | None:
    try:
        message = await within(_HELLO_SECONDS, socket.receive())
    except asyncio.TimeoutError:
        return None
    if message.type is not WSMsgType.TEXT:
        return None
    try:
        return Hello.model_validate_json(message.data)
    except pydantic.ValidationError:
        _LOG.warning("control channel: not a hello: %.200s", message.data)
        return None


async def _close(socket: web.WebSocketResponse, code: WSCloseCode, reason: str) -> None:
    """Say good-bye; does nothing to a socket that is closed."""
    try:
        await within(2 * _CLOSE_SECONDS, socket.close(code=code, message=reason.encode()))
    except asyncio.TimeoutError:
        _LOG.warning("a control channel did not close in time")
