"""The library that our own engine is, as it comes: what our settings and our tracker add to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.contestants.answers import first_answer
from benchmarks.contestants.bittorrent import Swarm, swarm_of
from swarm.errors import RoleFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from benchmarks.contestants.torrent import Torrent
    from benchmarks.lab.lab import Lab
    from benchmarks.lab.plan import Host

_PROGRAM = str(Path(__file__).with_name("libtorrent_session.py"))


class Session:
    """One libtorrent session, in a process of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._turn = asyncio.Lock()

    async def add(self, torrent: Torrent, directory: Path) -> None:
        """Have it bring a torrent's file to a directory, and seed it; or seed what is there."""
        await self._ask(add=str(torrent.path), directory=str(directory))

    async def is_complete(self, torrent: Torrent) -> bool:
        """Return whether it seeds."""
        told = await self._ask(look=str(torrent.path))
        if told["error"]:
            raise RoleFailed(f"libtorrent: {told['error']}")
        return bool(told["is_seeding"])

    async def remove(self, torrent: Torrent) -> None:
        """Have it forget a torrent; the file stays."""
        await self._ask(remove=str(torrent.path))

    async def _ask(self, **request: str) -> dict[str, Any]:
        async with self._turn:
            self._writer.write(json.dumps(request).encode() + b"\n")
            await self._writer.drain()
            line = await self._reader.readline()
        if not line:
            raise RoleFailed("the libtorrent session has ended")
        return dict(json.loads(line))


@contextlib.asynccontextmanager
async def _start(lab: Lab, host: Host, role: str) -> AsyncIterator[Session]:
    socket = str(lab.root(host) / "session.sock")
    async with lab.process(host, role, [sys.executable, "-I", _PROGRAM, socket]) as started:
        reader, writer = await first_answer(started, lambda: asyncio.open_unix_connection(socket))
        try:
            yield Session(reader, writer)
        finally:
            writer.close()


def stock_libtorrent(lab: Lab) -> AbstractAsyncContextManager[Swarm]:
    """Run a session on every host during the block."""
    return swarm_of(lab, _start)
