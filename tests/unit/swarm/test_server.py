"""What a server of ours does about clients that are slow, or send what is no request."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import TYPE_CHECKING, NamedTuple

import pytest
from aiohttp import web

from swarm.deadline import within
from swarm.endings import running
from swarm.web import server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

#: Far longer than any time limit that a test sets.
SOON = 15.0
LIMIT = 1000


async def _echo_length(request: web.Request) -> web.Response:
    return web.Response(text=str(len(await server.read_bytes(request))))


class Port(NamedTuple):
    """Where a server listens."""

    number: int

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Open a bare connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.number)
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def say(self, text: bytes) -> bytes:
        """Send ``text`` and return all that is answered until the server closes."""
        async with self.connected() as (reader, writer):
            writer.write(text)
            return await within(SOON, reader.read())

    async def is_well(self) -> bool:
        """Return whether an ordinary request is answered."""
        answer = await self.say(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return answer.startswith(b"HTTP/1.1 200 ")


@contextlib.asynccontextmanager
async def listening(*, body: float = 60.0, idle: float = 60.0) -> AsyncIterator[Port]:
    """Run a server with these time limits."""
    app = server.application(limit_bytes=LIMIT, body_seconds=body)
    app.router.add_post("/echo", _echo_length)
    async with server.serving(app, address="127.0.0.1", port=0, idle_seconds=idle) as urls:
        yield Port(int(urls[0].rpartition(":")[2]))


async def _trickle(writer: asyncio.StreamWriter, byte: bytes) -> None:
    """Send a byte now and then until the other side has closed."""
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(byte)
            await writer.drain()
            await asyncio.sleep(0.02)


async def answer_to_trickle(port: Port, start: bytes, byte: bytes) -> bytes:
    """Return all that is answered to a request that goes on byte by byte."""
    answer = b""
    async with port.connected() as (reader, writer):
        writer.write(start)
        async with running(_trickle(writer, byte), name="trickle"):
            # Piece by piece: once the connection is reset, what was not taken is lost.
            with contextlib.suppress(ConnectionError):
                while piece := await within(SOON, reader.read(1 << 16)):
                    answer += piece
    return answer


def problem(answer: bytes) -> dict[str, object]:
    """Return the problem document in an answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    document = json.loads(body)
    assert isinstance(document, dict)
    return document


def test_a_head_that_trickles_is_given_up() -> None:
    """Each byte does not win it more time; requests of others are answered meanwhile."""

    async def scenario() -> None:
        async with listening(idle=1.0) as port:
            slow = asyncio.create_task(
                answer_to_trickle(port, b"GET /healthz HTTP/1.1\r\nX-Slow: ", b"a")
            )
            assert await port.is_well()
            assert not slow.done(), "the premise: it is under way"
            assert await slow == b""
            assert await port.is_well()

    asyncio.run(scenario())


def test_a_silent_connection_is_given_up() -> None:
    """Before its first request, and after one."""

    async def scenario() -> None:
        async with listening(idle=0.3) as port:
            assert await port.say(b"") == b""
            answer = await port.say(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200 ")

    asyncio.run(scenario())


@pytest.mark.parametrize("framing", ["Content-Length: 900", "Transfer-Encoding: chunked"])
def test_a_body_that_trickles_is_given_up(framing: str) -> None:
    """With 408 and a problem document, and the connection is closed."""
    start = f"POST /echo HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode()
    piece = b"a" if "Length" in framing else b"1\r\na\r\n"

    async def scenario() -> None:
        async with listening(body=0.3) as port:
            answer = await answer_to_trickle(port, start, piece)
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert problem(answer)["code"] == "request_timeout"
            assert await port.is_well()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (f"Content-Length: {LIMIT + 1}", b""),
        (f"Content-Length: {10**18}", b""),
        ("Transfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (LIMIT + 1, bytes(LIMIT + 1))),
    ],
)
def test_a_body_that_is_too_large_is_refused(framing: str, body: bytes) -> None:
    """With 413 and a problem document; if it says its length, before a byte of it is read."""
    start = f"POST /echo HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode()

    async def scenario() -> None:
        async with listening() as port:
            answer = await port.say(start + body)
            assert answer.startswith(b"HTTP/1.1 413 ")
            document = problem(answer)
            assert (document["status"], document["code"]) == (413, "request_entity_too_large")
            allowed = b"POST /echo HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % LIMIT
            assert (await port.say(allowed + bytes(LIMIT))).endswith(b"\r\n\r\n1000")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x13BitTorrent protocol\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"BREW /pot HTTP/1.1\r\n\r\n",
        b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nBREW",
    ],
)
def test_what_is_no_http_is_turned_away(garbage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """The connection ends, nothing is logged as an error of ours, and the server goes on."""

    async def scenario() -> None:
        async with listening(idle=1.0) as port:
            with contextlib.suppress(ConnectionError):
                await port.say(garbage)
            assert await port.is_well()

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert not caplog.records, caplog.text


def test_a_body_that_is_broken_off_is_no_error_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    """A client that goes away in the middle leaves nothing in the log."""

    async def scenario() -> None:
        is_read = asyncio.Event()

        async def read(request: web.Request) -> web.Response:
            try:
                return await _echo_length(request)
            finally:
                is_read.set()

        app = server.application(limit_bytes=LIMIT)
        app.router.add_post("/echo", read)
        async with server.serving(app, address="127.0.0.1", port=0) as urls:
            port = Port(int(urls[0].rpartition(":")[2]))
            async with port.connected() as (_, writer):
                writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\nabc")
                await writer.drain()
            await within(SOON, is_read.wait())
            assert await port.is_well()

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert not caplog.records, caplog.text
