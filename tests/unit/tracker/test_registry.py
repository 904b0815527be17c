"""The registry on a real SQLite file: the schema, its settings, and what it gives back."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.schema import CreateTable

from swarm.errors import ConfigurationError
from swarm.messages import Variant, VariantDocument, VariantState
from tests.unit.tracker import lab
from tracker import publication
from tracker.registry.database import alembic_config, open_engine
from tracker.registry.models import Base, ImageVariant
from tracker.registry.repository import Registry

if TYPE_CHECKING:
    from pathlib import Path


def url_in(directory: Path) -> str:
    """Return the URL of a database in ``directory``."""
    return f"sqlite+aiosqlite:///{directory}/tracker.sqlite"


def test_migrations_make_what_the_models_say(tmp_path: Path) -> None:
    """Alembic finds nothing to do, after an upgrade over a connection that it is handed."""

    def differences(connection: Connection) -> list[object]:
        command.upgrade(alembic_config(connection=connection), "head")
        context = MigrationContext.configure(connection)
        assert context.get_current_revision() == "0003"
        return list(compare_metadata(context, Base.metadata))

    async def scenario() -> None:
        engine = open_engine(url_in(tmp_path))
        async with engine.begin() as connection:
            assert await connection.run_sync(differences) == []
            await connection.execute(text("ALTER TABLE images ADD COLUMN odd INTEGER"))
            assert await connection.run_sync(differences), "the comparison can fail"
        await engine.dispose()

    asyncio.run(scenario())


def test_a_migrated_database_can_be_taken_back(tmp_path: Path) -> None:
    """Down to nothing and up again, by URL as the service does it."""
    config = alembic_config(url=url_in(tmp_path))
    command.upgrade(config, "head")
    command.downgrade(config, "base")
    command.upgrade(config, "head")


def test_processes_that_start_together_migrate_one_after_the_other(tmp_path: Path) -> None:
    """Each finds the schema made, or makes it; none fails over the other."""
    code = (
        "import asyncio; from tracker.registry.database import migrate; "
        f"asyncio.run(migrate({url_in(tmp_path)!r}))"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(4)
    ]
    for process in started:
        _, words = process.communicate(timeout=50)
        assert process.returncode == 0, words.decode()


def test_sqlite_is_set_up_for_a_service(tmp_path: Path) -> None:
    """Write-ahead log, foreign keys, and patience with other writers."""

    async def scenario() -> None:
        engine = open_engine(url_in(tmp_path))
        async with engine.connect() as connection:
            for pragma, value in (
                ("journal_mode", "wal"),
                ("foreign_keys", 1),
                ("busy_timeout", 10_000),
            ):
                assert await connection.scalar(text(f"PRAGMA {pragma}")) == value
        await engine.dispose()

    asyncio.run(scenario())


def test_a_torrent_of_16_mib_has_room_on_each_database() -> None:
    """MariaDB's plain BLOB would cut it at 64 KiB."""
    table = ImageVariant.metadata.tables["variants"]
    assert "metainfo LONGBLOB" in str(CreateTable(table).compile(dialect=mysql.dialect()))
    assert "metainfo BYTEA" in str(CreateTable(table).compile(dialect=postgresql.dialect()))


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    """Descriptions, variants, the torrent's bytes; after a restart too."""
    image, made = lab.describe(), lab.torrent()
    document = publication.published(made, hash_algo="sha512", hash_value="ab")
    failed = VariantDocument(variant=Variant.RAW, state=VariantState.FAILED, reason="no disk")

    async def write() -> None:
        async with Registry(url_in(tmp_path)) as registry:
            assert await registry.find_variant(image.id, Variant.RAW) is None
            await registry.save_image(image)
            stored = await registry.find_variant(image.id, Variant.RAW)
            assert stored is not None
            assert stored.document is None
            await registry.save_variant(image.id, document, made.data)
            await registry.save_variant(image.id, failed)
            await registry.save_image(image.model_copy(update={"name": "new"}))

    async def read() -> None:
        async with Registry(url_in(tmp_path)) as registry:
            found = await registry.find_image(image.id)
            assert found is not None
            assert found.name == "new"
            assert found.variants == [document, failed]
            stored = await registry.find_variant(image.id, Variant.ORIGINAL)
            assert stored is not None
            assert stored.metainfo == made.data
            assert await registry.announce_hashes() == [made.announce_hash]
            await registry.delete_image(image.id)
            assert await registry.find_variant(image.id, Variant.RAW) is None, "by foreign key"
            assert await registry.announce_hashes() == []

    asyncio.run(write())
    asyncio.run(read())


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "oracle+nothing:///x",
        "sqlite:///not-asynchronous",
        "sqlite+aiosqlite:////proc/no/where",
        "sqlite+aiosqlite://",
    ],
)
def test_an_unusable_database_is_a_configuration_error(url: str) -> None:
    """In a sentence that names the option."""

    async def scenario() -> None:
        async with Registry(url):
            pass

    with pytest.raises(ConfigurationError, match="database_url"):
        asyncio.run(scenario())
