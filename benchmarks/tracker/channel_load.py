"""Thousands of nodes on the control channel, from one process: the load of the channel questions.

A WebSocket client (RFC 6455) with just what the channel needs, so that the load costs less than
what it measures: text frames, an answer to each ping, nothing fragmented.
"""

from __future__ import annotations

import asyncio
import os
import struct
from base64 import b64encode
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable

_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA
#: Masking is for browsers; a key of zeros satisfies the protocol and changes nothing.
_NO_MASK = bytes(4)


class Channel(asyncio.Protocol):
    """One node: it says hello once it is connected, and calls back with each message."""

    def __init__(self, hello: str, on_message: Callable[[Channel, bytes], None]) -> None:
        self._hello = hello
        self._on_message = on_message
        self._buffer = bytearray()
        self._is_open = False
        self.is_closed = False
        self.welcomed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self._transport = cast("asyncio.Transport", transport)
        key = b64encode(os.urandom(16)).decode()
        self._transport.write(
            "GET /v1/control HTTP/1.1\r\nHost: tracker\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
            "".encode()
        )

    def connection_lost(self, error: Exception | None) -> None:
        """Note it."""
        self.is_closed = True
        if not self.welcomed.done():
            self.welcomed.set_exception(error or ConnectionError("closed before the welcome"))

    def data_received(self, data: bytes) -> None:
        """Take in what came."""
        self._buffer += data
        if not self._is_open:
            head, found, rest = bytes(self._buffer).partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self._transport.abort()
                return
            self._is_open, self._buffer = True, bytearray(rest)
            self.send(self._hello.encode())
        while self._take_frame():
            pass

    def _take_frame(self) -> bool:
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        kind, size, start = buffer[0] & 0xF, buffer[1] & 0x7F, 2
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(buffer) < start:
                return False
            size = int.from_bytes(buffer[2:start], "big")
        if len(buffer) < start + size:
            return False
        payload = bytes(buffer[start : start + size])
        del buffer[: start + size]
        if kind == _TEXT:
            if not self.welcomed.done():
                self.welcomed.set_result(None)
            self._on_message(self, payload)
        elif kind == _PING:
            self._send_frame(_PONG, payload)
        elif kind == _CLOSE:
            self._transport.close()
        return True

    def send(self, text: bytes) -> None:
        """Send one message."""
        self._send_frame(_TEXT, text)

    def _send_frame(self, kind: int, payload: bytes) -> None:
        size = len(payload)
        if size < 126:
            head = struct.pack(">BB", 0x80 | kind, 0x80 | size)
        elif size < 1 << 16:
            head = struct.pack(">BBH", 0x80 | kind, 0x80 | 126, size)
        else:
            head = struct.pack(">BBQ", 0x80 | kind, 0x80 | 127, size)
        self._transport.write(head + _NO_MASK + payload)

    def close(self) -> None:
        """Hang up."""
        self._transport.abort()


def address(number: int) -> str:
    """Return a loopback address of its own for each of up to 32,000 nodes."""
    return f"127.1.{number >> 7}.{1 + (number & 127)}"


async def connect(number: int, port: int, on_message: Callable[[Channel, bytes], None]) -> Channel:
    """Connect node ``number`` to the tracker at 127.0.0.1:``port``, and wait for its welcome."""
    hello = f'{{"type":"hello","role":"agent","node":"node-{number}","port":6881}}'
    loop = asyncio.get_running_loop()
    _, channel = await loop.create_connection(
        lambda: Channel(hello, on_message), "127.0.0.1", port, local_addr=(address(number), 0)
    )
    await channel.welcomed
    return channel


async def connect_many(
    count: int, port: int, on_message: Callable[[Channel, bytes], None], *, at_once: int = 64
) -> list[Channel]:
    """Connect so many nodes, a few at a time."""
    turn = asyncio.Semaphore(at_once)

    async def one(number: int) -> Channel:
        async with turn:
            return await connect(number, port, on_message)

    return list(await asyncio.gather(*(one(number) for number in range(count))))
