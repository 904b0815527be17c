"""A load balancer for tests: each new connection goes to the next back end that takes it.

It knows nothing of HTTP, and is transparent: the back end sees the client's own address, by which
peers are known. A back end that refuses a connection is passed over; connections to one
that dies are cut, as a real balancer does it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_CHUNK = 1 << 16

BackEnd = tuple[str, int]


class RoundRobin:
    """The balancer; :func:`round_robin` runs one."""

    def __init__(self, back_ends: list[BackEnd]) -> None:
        self._back_ends = back_ends
        self._turns = itertools.count()
        self._connections: set[asyncio.Task[None]] = set()
        #: How many connections each back end was given.
        self.given: Counter[BackEnd] = Counter()

    def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection; what asyncio calls."""
        task = asyncio.ensure_future(self._take(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError):
                await self._carry(reader, writer)
        finally:
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back_reader, back_writer = await self._connect(writer.get_extra_info("peername")[0])
        ways = [
            asyncio.ensure_future(_pump(reader, back_writer)),
            asyncio.ensure_future(_pump(back_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            back_writer.close()

    async def _connect(self, source: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        first = next(self._turns) % len(self._back_ends)
        for back_end in self._back_ends[first:] + self._back_ends[:first]:
            with contextlib.suppress(OSError):
                streams = await asyncio.open_connection(*back_end, local_addr=(source, 0))
                self.given[back_end] += 1
                return streams
        raise ConnectionRefusedError("no back end takes connections")

    async def close(self) -> None:
        """Cut all connections."""
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()


@contextlib.asynccontextmanager
async def round_robin(back_ends: list[BackEnd]) -> AsyncIterator[tuple[str, RoundRobin]]:
    """Run a balancer during the block; yields its URL, and itself."""
    balancer = RoundRobin(back_ends)
    server = await asyncio.start_server(balancer.take, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", balancer
    finally:
        server.close()
        await balancer.close()
        await server.wait_closed()
