"""Where transfers outlive the process: one SQLite file, by the standard library's sqlite3.

Not SQLAlchemy: it would cost the agent 18 MB of memory, on every hypervisor, for one table. One
connection in one thread, so writes happen in the order in which they were asked for. With WAL and
``synchronous=FULL`` a method that returned has its change on the disk; a SIGKILL or a power cut
leaves the state before or after a change, never between. The connection keeps the file locked: two
agents can't share a state directory.
"""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from peer.transfers.transfer import Record
from swarm.blocking import to_the_end
from swarm.errors import ConfigurationError, StorageFailed
from swarm.messages import DestinationFormat, Failure, TransferState, Variant, Verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typing_extensions import Self

T = TypeVar("T")

#: The n-th entry brings a database of version n to version n + 1.
_MIGRATIONS = (
    """
    CREATE TABLE transfers (
        id TEXT PRIMARY KEY,
        image_id TEXT NOT NULL,
        destination_url TEXT NOT NULL,
        destination_format TEXT NOT NULL,
        verify TEXT NOT NULL,
        state TEXT NOT NULL,
        failure TEXT,
        variant TEXT,
        info_hash TEXT,
        size INTEGER,
        hash_algo TEXT,
        hash_value TEXT,
        part_path TEXT,
        file_inode TEXT,
        file_mtime_ns INTEGER,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        metainfo BLOB,
        resume BLOB
    )
    """,
)
_COLUMNS = [field.name for field in fields(Record)]
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM transfers ORDER BY created_at, id"  # noqa: S608
_INSERT = (
    f"INSERT INTO transfers ({', '.join(_COLUMNS)}) "  # noqa: S608 - the columns are our own names
    f"VALUES ({', '.join(':' + column for column in _COLUMNS)})"
)
# Only a transfer under way has use for resume data, and none that failed has one for its torrent.
_UPDATE = (
    f"UPDATE transfers SET {', '.join(f'{column} = :{column}' for column in _COLUMNS)}, "  # noqa: S608
    "metainfo = CASE WHEN :state IN ('failed', 'cancelled') THEN NULL ELSE metainfo END, "
    "resume = CASE WHEN :state IN ('failed', 'cancelled', 'complete') THEN NULL ELSE resume END "
    "WHERE id = :id"
)


class Store:
    """The table of transfers; use it as an asynchronous context manager.

    Methods raise :class:`~swarm.errors.StorageFailed` when the disk refuses. Opening raises
    :class:`~swarm.errors.ConfigurationError` if the file is not ours or another agent has it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="transfer-store")

    async def __aenter__(self) -> Self:
        try:
            self._connection = await self._run(lambda: _open(self._path))
        except BaseException:
            self._thread.shutdown()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._run(self._connection.close)
        self._thread.shutdown()

    async def _run(self, work: Callable[[], T]) -> T:
        def guarded() -> T:
            try:
                return work()
            except sqlite3.Error as error:
                raise StorageFailed(f"{self._path}: {error}") from error

        loop = asyncio.get_running_loop()
        return await to_the_end(loop.run_in_executor(self._thread, guarded))

    async def _write(self, statement: str, values: dict[str, object]) -> None:
        def work() -> None:
            with self._connection:
                self._connection.execute(statement, values)

        await self._run(work)

    async def _blob(self, column: str, transfer_id: str) -> bytes | None:
        query = f"SELECT {column} FROM transfers WHERE id = ?"  # noqa: S608 - a name of ours
        rows = await self._run(lambda: self._connection.execute(query, (transfer_id,)).fetchall())
        return rows[0][0] if rows else None

    async def load(self) -> list[Record]:
        """Return all records, oldest first."""
        rows = await self._run(lambda: self._connection.execute(_SELECT).fetchall())
        return [_record(dict(zip(_COLUMNS, row, strict=True))) for row in rows]

    async def insert(self, record: Record) -> None:
        """Add a record."""
        await self._write(_INSERT, _values(record))

    async def save(self, record: Record) -> None:
        """Replace a record; one that has ended loses the blobs that it has no more use for."""
        await self._write(_UPDATE, _values(record))

    async def delete(self, transfer_id: str) -> None:
        """Forget a record and its blobs."""
        await self._write("DELETE FROM transfers WHERE id = :id", {"id": transfer_id})

    async def metainfo(self, transfer_id: str) -> bytes | None:
        """Return the torrent of a transfer, if it has got it."""
        return await self._blob("metainfo", transfer_id)

    async def save_metainfo(self, transfer_id: str, metainfo: bytes) -> None:
        """Keep the torrent of a transfer."""
        await self._write(
            "UPDATE transfers SET metainfo = :blob WHERE id = :id",
            {"id": transfer_id, "blob": metainfo},
        )

    async def resume(self, transfer_id: str) -> bytes | None:
        """Return the engine's resume data, if any was saved."""
        return await self._blob("resume", transfer_id)

    async def save_resume(self, transfer_id: str, resume: bytes | None) -> None:
        """Keep the engine's resume data in place of what was there; None: forget it."""
        await self._write(
            "UPDATE transfers SET resume = :blob WHERE id = :id",
            {"id": transfer_id, "blob": resume},
        )


def _open(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, timeout=1.0)
    except sqlite3.OperationalError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    try:
        # Exclusive before WAL: then SQLite needs no shared memory, and nobody else gets in.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        _migrate(connection)
    except sqlite3.OperationalError as error:
        connection.close()
        if "locked" in str(error):
            raise ConfigurationError(f"{path} is in use by another agent") from error
        raise ConfigurationError(f"{path}: {error}") from error
    except sqlite3.DatabaseError as error:
        connection.close()
        raise ConfigurationError(f"{path} is not a database of transfers: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(_MIGRATIONS):
        raise ConfigurationError(
            f"the database of transfers has version {version}; this agent knows {len(_MIGRATIONS)}"
        )
    for number, statement in enumerate(_MIGRATIONS[version:], start=version + 1):
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")


def _values(record: Record) -> dict[str, object]:
    values: dict[str, object] = {column: getattr(record, column) for column in _COLUMNS}
    for column in ("destination_format", "verify", "state", "variant"):
        member = values[column]
        values[column] = member.value if member is not None else None  # type: ignore[attr-defined] # each is an enum
    values["failure"] = record.failure.model_dump_json() if record.failure else None
    # An inode number may be beyond SQLite's 63 bits.
    values["file_inode"] = str(record.file_inode) if record.file_inode is not None else None
    values["created_at"] = record.created_at.isoformat()
    values["updated_at"] = record.updated_at.isoformat()
    return values


def _record(row: dict[str, str | int | None]) -> Record:
    made = {
        "destination_format": DestinationFormat,
        "verify": Verify,
        "state": TransferState,
        "variant": Variant,
        "failure": Failure.model_validate_json,
        "file_inode": int,
        "created_at": datetime.fromisoformat,
        "updated_at": datetime.fromisoformat,
    }
    values = {
        column: made[column](value) if column in made and value is not None else value  # type: ignore[operator] # a table of one-argument makers
        for column, value in row.items()
    }
    return Record(**values)  # type: ignore[arg-type] # checked by the schema
