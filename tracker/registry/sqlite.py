"""A connection to SQLite: a thread of aiosqlite's, which has to end before its loop is closed."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import aiosqlite

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from sqlalchemy import URL

#: Rows that aiosqlite fetches at a time for who iterates over a cursor; SQLAlchemy never does.
_ROWS = 64


class _Connection(aiosqlite.Connection):
    """A connection whose thread is told to stop once.

    The thread answers the first that asks it to. SQLAlchemy asks again if it is cancelled while it
    closes a connection, and waits for ever.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connect, _ROWS)
        self._stopped: asyncio.Future[Any] | None = None
        # Else a process that ends in a hurry waits for ever for who was never told to stop.
        # SQLAlchemy does the same to those that it makes itself; aiosqlite has no other way.
        self._thread.daemon = True

    def stop(self) -> asyncio.Future[Any] | None:
        """Have the thread end; returns what it answers last."""
        if self._stopped is None:
            self._stopped = super().stop()
        return self._stopped


def connector(url: URL) -> Callable[[], Awaitable[aiosqlite.Connection]]:
    """Return what opens the file that ``url`` names; no thread is left if that fails."""
    (file,), options = url.get_dialect()().create_connect_args(url)

    async def connect() -> aiosqlite.Connection:
        connection = _Connection(lambda: sqlite3.connect(file, **options))
        try:
            return await connection
        except BaseException:
            # aiosqlite has asked it to stop, but doesn't wait until it has.
            stopped = connection.stop()
            if stopped is not None:
                await stopped
            raise

    return connect
