"""The tracker's TCP port: announces are answered at the door, all else goes in to aiohttp.

aiohttp spends a hundred microseconds on a request, most of it on what an announce has no use for: a
task, header objects, routes, a response object. A cloud's announces are many and all alike. So each
connection is read here first. As long as whole requests come that are plain announces or scrapes,
they are answered from here, one after the other as they came. The first one that is anything else
is handed over, and the connection with it, for good; from then on it is aiohttp's.

What a stranger can do with connections is bounded here too. There are only so many, and the one
that has been idle for longest makes room for a new one. A head has to be whole within seconds of
its first byte, so nobody holds a connection by sending a byte now and then. Only so many requests
of one connection are answered in a turn of the event loop, and none while the client does not read
its answers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, cast

from tracker.announce import http_head
from tracker.announce.http import CONTENT_TYPE
from tracker.announce.origin import packed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracker.announce.http import AnnounceHttp

_LOG = logging.getLogger(__name__)

#: Between two requests, and before the first.
IDLE_SECONDS = 75.0
#: From the first byte of a head to its last.
HEAD_SECONDS = 10.0
_LOOK_SECONDS = 1.0
#: Requests of one connection that are answered in one turn.
_MOST_IN_A_TURN = 32

_OK = f"HTTP/1.1 200 OK\r\nContent-Type: {CONTENT_TYPE}\r\n"


class Doorkeeper:
    """Makes a :class:`Door` for each connection, and closes those that time is up for.

    ``inner`` makes the protocols that connections are handed over to, and ``count_inner`` tells how
    many there are; with the doors they are at most ``most_connections``.
    """

    def __init__(
        self,
        announces: AnnounceHttp,
        inner: Callable[[], asyncio.Protocol],
        *,
        most_connections: int,
        count_inner: Callable[[], int] = lambda: 0,
        idle_seconds: float = IDLE_SECONDS,
        head_seconds: float = HEAD_SECONDS,
    ) -> None:
        self.announces = announces
        self.inner = inner
        self._most_connections = most_connections
        self._count_inner = count_inner
        self._inner_count = 0
        self._idle_seconds = idle_seconds
        self._head_seconds = head_seconds
        # Each in the order of its moments, so that the first ones are the next that are over.
        self._idle_since: dict[Door, float] = {}
        self._head_since: dict[Door, float] = {}
        self._loop = asyncio.get_running_loop()
        self._date_header = ""
        self._is_closed = False
        self._look()

    def __call__(self) -> Door:
        """Return the protocol of a new connection."""
        return Door(self)

    def close(self) -> None:
        """Close the connections that are at the door, and look no more."""
        self._is_closed = True
        self._next_look.cancel()
        for door in list(self._idle_since):
            door.close()

    def _look(self) -> None:
        """Once a second: time-outs, and what is not worth doing more often."""
        now = self._loop.time()
        self._inner_count = self._count_inner()
        self._date_header = f"Date: {formatdate(time.time(), usegmt=True)}\r\n"
        for since, seconds in (
            (self._idle_since, self._idle_seconds),
            (self._head_since, self._head_seconds),
        ):
            for door in [d for d, moment in since.items() if moment + seconds <= now]:
                door.abort()
        self._next_look = self._loop.call_later(_LOOK_SECONDS, self._look)

    def admit(self, door: Door) -> bool:
        """Count a new connection; False if there is no room for it, not even another's."""
        if self._is_closed:
            return False
        if len(self._idle_since) + self._inner_count >= self._most_connections:
            longest_idle = next(iter(self._idle_since), None)
            if longest_idle is None:
                return False
            longest_idle.abort()
        self._idle_since[door] = self._loop.time()
        return True

    def began_head(self, door: Door) -> None:
        """Take down that a head is there in part."""
        self._head_since.setdefault(door, self._loop.time())

    def ended_head(self, door: Door) -> None:
        """Take down that a whole request has come."""
        self._head_since.pop(door, None)
        self._idle_since.pop(door, None)
        self._idle_since[door] = self._loop.time()

    def dismiss(self, door: Door, *, is_handed_over: bool = False) -> None:
        """Forget a connection that is over, or aiohttp's."""
        self._head_since.pop(door, None)
        self._idle_since.pop(door, None)
        self._inner_count += is_handed_over

    def head(self, length: int) -> str:
        """Return the head of an answer, but for the line on the connection."""
        return f"{_OK}{self._date_header}Content-Length: {length}\r\n"


class Door(asyncio.Protocol):
    """One connection, until it is handed over."""

    __slots__ = (
        "_address",
        "_buffer",
        "_has_more",
        "_is_ended",
        "_is_full",
        "_is_over",
        "_keeper",
        "_transport",
    )

    _transport: asyncio.Transport

    def __init__(self, keeper: Doorkeeper) -> None:
        self._keeper = keeper
        self._buffer = b""
        self._address = b""
        #: The client has sent all that it will.
        self._is_ended = False
        #: The client does not read its answers.
        self._is_full = False
        #: Requests are left for the next turn.
        self._has_more = False
        self._is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read, if there is room."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        if not peer or not self._keeper.admit(self):
            self.abort()
            return
        self._address = packed(peer[0])

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        del exc
        self._end()

    def pause_writing(self) -> None:
        """Wait for a client that does not read."""
        self._is_full = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        self._is_full = False
        if not self._has_more:
            self._go_on()

    def data_received(self, data: bytes) -> None:
        """Answer the requests that are whole with this."""
        self._buffer = self._buffer + data if self._buffer else data
        if not self._has_more and not self._is_full:
            self._answer_some()

    def eof_received(self) -> bool:
        """Answer what has come all the same; then it is over."""
        self._is_ended = True
        return self._has_more or self._is_full

    def close(self) -> None:
        """Let what is written go out, and take nothing more."""
        self._end()
        self._transport.close()

    def abort(self) -> None:
        """Break off."""
        self._end()
        self._transport.abort()

    def _end(self) -> None:
        self._is_over = True
        self._buffer = b""
        self._keeper.dismiss(self)

    def _go_on(self) -> None:
        self._has_more = False
        if not self._is_over and not self._is_full:
            self._transport.resume_reading()
            self._answer_some()

    def _answer_some(self) -> None:
        """Answer requests from the buffer, but not all if they are very many."""
        for _ in range(_MOST_IN_A_TURN):
            end = self._buffer.find(http_head.END)
            if end < 0 or end > http_head.MOST_BYTES:
                self._await_more()
                return
            request = http_head.parse(self._buffer[:end])
            if request is None or not self._keeper.announces.is_immediate:
                self._hand_over()
                return
            self._buffer = self._buffer[end + len(http_head.END) :]
            self._keeper.ended_head(self)
            self._answer(request, end)
            if self._is_over or self._is_full:
                return
        self._has_more = True
        self._transport.pause_reading()
        asyncio.get_running_loop().call_soon(self._go_on)

    def _await_more(self) -> None:
        if len(self._buffer) > http_head.MOST_BYTES:
            self._hand_over()  # it knows what to say to that
        elif self._is_ended:
            self.close()
        elif self._buffer:
            self._keeper.began_head(self)

    def _answer(self, request: http_head.PlainGet, received: int) -> None:
        try:
            body = self._keeper.announces.answer_now(request.target, self._address)
        except Exception:  # noqa: BLE001 - the last line of defence
            _LOG.exception("an announce could not be answered")
            self.abort()
            return
        head = self._keeper.head(len(body))
        if not request.keeps_alive:
            head += "Connection: close\r\n"
        elif request.is_old:
            head += "Connection: keep-alive\r\n"
        answer = head.encode("ascii") + b"\r\n" + body
        self._keeper.announces.count_bytes(self._address, received, len(answer))
        self._transport.write(answer)
        if not request.keeps_alive:
            self.close()

    def _hand_over(self) -> None:
        """Let aiohttp have the connection, and what was read of the request."""
        transport, buffer = self._transport, self._buffer
        self._is_over = True
        self._buffer = b""
        self._keeper.dismiss(self, is_handed_over=True)
        inner = self._keeper.inner()
        transport.set_protocol(inner)
        inner.connection_made(transport)
        inner.data_received(buffer)
        if self._is_ended:
            inner.eof_received()
