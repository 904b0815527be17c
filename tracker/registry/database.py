"""The registry's database: an engine with the settings that each kind needs, and its schema.

SQLite is the embedded default: one file, write-ahead log, foreign keys on. PostgreSQL and MariaDB
need nothing set here.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

import alembic.command
import alembic.config
import alembic.util
import sqlalchemy.exc
from sqlalchemy import event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from swarm.errors import ConfigurationError
from tracker.registry import sqlite

if TYPE_CHECKING:
    from sqlalchemy import URL
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

#: How long SQLite waits for another process that writes, such as a backup.
_BUSY_MILLISECONDS = 10_000


def open_engine(url: str) -> AsyncEngine:
    """Return an engine for ``url``; nothing is connected yet.

    Raises :class:`~swarm.errors.ConfigurationError` for a URL that no asynchronous driver serves.
    """
    try:
        engine = _engine(make_url(url))
    except (sqlalchemy.exc.SQLAlchemyError, ImportError, ValueError) as error:
        raise ConfigurationError(
            f"[tracker] database_url: {error}. It names an asynchronous driver, such as "
            "sqlite+aiosqlite, postgresql+asyncpg or mysql+aiomysql."
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _set_up_sqlite)
    return engine


def _engine(url: URL) -> AsyncEngine:
    if url.get_driver_name() == "aiosqlite":
        return create_async_engine(url, async_creator=sqlite.connector(url))
    return create_async_engine(url, pool_pre_ping=True)


def _set_up_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")
    cursor.close()


async def migrate(url: str) -> None:
    """Bring the schema up to the newest revision, in a thread: Alembic reads files and blocks.

    Raises :class:`~swarm.errors.ConfigurationError` if the database can't be opened or written.
    """
    try:
        await asyncio.to_thread(_migrate, url)
    except (
        sqlalchemy.exc.SQLAlchemyError,
        alembic.util.CommandError,
        sqlite3.Error,
        OSError,
    ) as error:
        reason = getattr(error, "orig", None) or error
        raise ConfigurationError(
            f"[tracker] database_url: {make_url(url)!r} can't be brought up to date: {reason}"
        ) from error


def _migrate(url: str) -> None:
    _prepare_file(make_url(url))
    alembic.command.upgrade(alembic_config(url=url), "head")


def _prepare_file(url: URL) -> None:
    """Give a SQLite file its write-ahead log, which stays with it."""
    if url.get_backend_name() != "sqlite":
        return
    if url.database in (None, "", ":memory:"):
        raise ConfigurationError("[tracker] database_url: the registry needs a file to live in")
    with closing(sqlite3.connect(url.database)) as connection:
        write_ahead(connection)


def write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log, patiently.

    The change of a journal's mode doesn't wait as statements do (SQLite calls no busy handler for
    it): of processes that open a new file together, all but one are told that it is locked.
    """
    until = time.monotonic() + _BUSY_MILLISECONDS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:  # noqa: PERF203 - each try is one
            # Its code is known from Python 3.11 on.
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(random.uniform(0.001, 0.02))  # noqa: S311 - jitter
        else:
            return


def alembic_config(**attributes: object) -> alembic.config.Config:
    """Return the configuration that Alembic runs our migrations by; for ``attributes`` see env."""
    config = alembic.config.Config(attributes=attributes)
    config.set_main_option("script_location", "tracker.registry:migrations")
    config.set_main_option("path_separator", "os")
    return config
