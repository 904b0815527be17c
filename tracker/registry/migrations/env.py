"""What Alembic runs to reach the database.

It is given either an open connection (``config.attributes["connection"]``) or a database URL
(``config.attributes["url"]``) for which it makes an asynchronous engine of its own; there is no
alembic.ini, so that a service needs no file beside its package. ``tracker/registry/database.py``
calls it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from alembic import context

from tracker.registry.database import open_engine
from tracker.registry.models import Base

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Replicas that start together migrate one after the other. Taken before the revision is read, and
#: held until the transaction ends, on MariaDB (where each statement that makes a table ends one)
#: until the connection does.
_LOCKS = {
    "sqlite": "BEGIN IMMEDIATE",
    "postgresql": "SELECT pg_advisory_xact_lock(7310293, 1)",
    "mysql": "SELECT GET_LOCK('glance-swarm migrations', 60)",
}
_LOCKS["mariadb"] = _LOCKS["mysql"]


def _migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


def _migrate_alone(connection: Connection) -> None:
    connection.exec_driver_sql(_LOCKS[connection.dialect.name])
    _migrate(connection)


async def _migrate_at(url: str) -> None:
    engine = open_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_migrate_alone)
    finally:
        await engine.dispose()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    _migrate(given)
else:
    asyncio.run(_migrate_at(context.config.attributes["url"]))
