"""The registry on each of its databases: the schema, its settings, and what it gives back."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from swarm.errors import ConfigurationError
from swarm.messages import Variant, VariantDocument, VariantState
from tests import databases
from tests.unit.tracker import lab
from tracker import publication
from tracker.registry.database import alembic_config, migrate, open_engine, write_ahead
from tracker.registry.models import Base
from tracker.registry.repository import Registry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

#: Starting a server for the first test takes its time.
pytestmark = pytest.mark.timeout(180)

NEWEST = "0004"
MIB = 1 << 20


@pytest.fixture(params=databases.KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Make an empty database of each kind."""
    with databases.database(request.param, tmp_path) as made:
        yield made


def url_in(directory: Path) -> str:
    """Return the URL of a SQLite database in ``directory``."""
    return f"sqlite+aiosqlite:///{directory}/tracker.sqlite"


def at(url: str, work: Callable[[Connection], Any]) -> Any:  # noqa: ANN401 - of the work
    """Do ``work`` over a connection to the database, in a transaction."""

    async def scenario() -> Any:  # noqa: ANN401
        engine = open_engine(url)
        try:
            async with engine.begin() as connection:
                return await connection.run_sync(work)
        finally:
            await engine.dispose()

    return asyncio.run(scenario())


def with_registry(url: str, work: Callable[[Registry], Awaitable[None]]) -> None:
    """Do ``work`` with a registry that is opened for it."""

    async def scenario() -> None:
        async with Registry(url) as registry:
            await work(registry)

    asyncio.run(scenario())


def differences(connection: Connection) -> list[object]:
    """Return how the schema differs from what the models say."""
    context = MigrationContext.configure(connection)
    assert context.get_current_revision() == NEWEST
    return list(compare_metadata(context, Base.metadata))


def test_migrations_make_what_the_models_say(url: str) -> None:
    """Alembic finds nothing to do, after an upgrade over a connection that it is handed."""

    def upgrade(connection: Connection) -> list[object]:
        command.upgrade(alembic_config(connection=connection), "head")
        return differences(connection)

    assert at(url, upgrade) == []
    at(url, lambda c: c.execute(text("ALTER TABLE images ADD COLUMN odd INTEGER")))
    assert at(url, differences), "the comparison can fail"


def test_a_migrated_database_can_be_taken_back(url: str) -> None:
    """Down to nothing and up again, by URL as the service does it."""
    config = alembic_config(url=url)
    command.upgrade(config, "head")
    command.downgrade(config, "base")
    command.upgrade(config, "head")
    assert at(url, differences) == []


#: An image with a published variant, as the first revision keeps it.
IMAGE_ROW = {
    "id": lab.IMAGE,
    "name": "debian-12",
    "size": 5,
    "disk_format": "raw",
    "container_format": "bare",
    "created_at": datetime(2026, 11, 23, 10, 0, 0, 123456),  # noqa: DTZ001 - as it is kept
}
VARIANT_ROW = {
    "image_id": lab.IMAGE,
    "variant": "original",
    "state": "published",
    "info_hash": "ab" * 32,
    "announce_hash": "ab" * 20,
    "size": 5,
    "metainfo": b"d4:info0:e\x00\xff",
}


def insert(connection: Connection, table: str, row: dict[str, object]) -> None:
    """Write a row without the models, which are of the newest revision."""
    names = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)  # noqa: S608 - ours


def earlier_revisions() -> list[str]:
    """Return every revision but the newest, the oldest first."""
    script = ScriptDirectory.from_config(alembic_config())
    return [step.revision for step in script.walk_revisions()][:0:-1]


@pytest.mark.parametrize("revision", ["0001", "0003"])
def test_a_database_of_an_earlier_revision_comes_up_with_its_data(url: str, revision: str) -> None:
    """As a tracker of that revision left it; then it has what a new one has."""
    assert revision in earlier_revisions()
    command.upgrade(alembic_config(url=url), revision)

    def fill(connection: Connection) -> None:
        insert(connection, "images", IMAGE_ROW)
        more = {"info_hash_v1": "cd" * 20} if revision == "0003" else {}
        insert(connection, "variants", {**VARIANT_ROW, **more})

    at(url, fill)

    async def look(registry: Registry) -> None:
        image = await registry.find_image(lab.IMAGE)
        assert image is not None
        assert (image.name, image.size) == ("debian-12", 5)
        stored = await registry.find_variant(lab.IMAGE, Variant.ORIGINAL)
        assert stored is not None
        assert stored.metainfo == VARIANT_ROW["metainfo"]
        hashes = {b"\xab" * 20} | ({b"\xcd" * 20} if revision == "0003" else set())
        assert set(await registry.announce_hashes()) == hashes
        news = await registry.nodes.news(-1)
        assert news is not None
        assert (news.revision, news.changed) == (0, [])

    with_registry(url, look)
    assert at(url, differences) == []


def test_every_earlier_revision_is_tried() -> None:
    """A new migration comes with a test of the way from the one before."""
    assert earlier_revisions() == ["0001", "0003"]


def test_processes_that_start_together_migrate_one_after_the_other(url: str) -> None:
    """Each finds the schema made, or makes it; none fails over the other."""
    code = (
        "import asyncio; from tracker.registry.database import migrate; "
        f"asyncio.run(migrate({url!r}))"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(4)
    ]
    for process in started:
        _, words = process.communicate(timeout=50)
        assert process.returncode == 0, words.decode()
    assert at(url, differences) == []


def test_a_journal_is_changed_patiently(tmp_path: Path) -> None:
    """Of many that open a new file at once none is told that it is locked."""
    path = tmp_path / "registry.sqlite"
    start = threading.Barrier(8)

    def open_it(_: int) -> str:
        with closing(sqlite3.connect(path)) as connection:
            start.wait()
            write_ahead(connection)
            return str(connection.execute("PRAGMA journal_mode").fetchone()[0])

    for _ in range(20):
        for file in tmp_path.iterdir():
            file.unlink()
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(open_it, range(8))) == {"wal"}


def test_sqlite_is_set_up_for_a_service(tmp_path: Path) -> None:
    """Write-ahead log, foreign keys, and patience with other writers."""

    async def scenario() -> None:
        await migrate(url_in(tmp_path))
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


def test_what_is_saved_comes_back(url: str) -> None:
    """Descriptions, variants, the torrent's bytes; after a restart too."""
    image, made = lab.describe(), lab.torrent()
    document = publication.published(made, hash_algo="sha512", hash_value="ab")
    failed = VariantDocument(variant=Variant.RAW, state=VariantState.FAILED, reason="no disk")

    async def write(registry: Registry) -> None:
        assert await registry.find_variant(image.id, Variant.RAW) is None
        await registry.save_image(image)
        stored = await registry.find_variant(image.id, Variant.RAW)
        assert stored is not None
        assert stored.document is None
        await registry.save_variant(image.id, document, made.data)
        await registry.save_variant(image.id, failed)
        await registry.save_image(image.model_copy(update={"name": "new"}))

    async def read(registry: Registry) -> None:
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

    with_registry(url, write)
    with_registry(url, read)


def test_names_are_kept_and_found_by_each_character(url: str) -> None:
    """Whatever language; upper and lower case are two names, also where MariaDB differs."""
    names = ["Debian", "debian", "débian", "ديبيان", "🐧 12"]
    images = [
        lab.describe(f"00000000-0000-4000-8000-{number:012}", name=name)
        for number, name in enumerate(names)
    ]

    async def scenario(registry: Registry) -> None:
        for image in images:
            await registry.save_image(image)
        assert sorted(i.name for i in await registry.list_images()) == sorted(names)
        for image in images:
            assert [i.id for i in await registry.list_images(name=image.name)] == [image.id]

    with_registry(url, scenario)


def test_the_newest_image_comes_first(url: str) -> None:
    """To the microsecond: MariaDB's plain DATETIME would keep whole seconds."""
    images = [
        lab.describe(f"00000000-0000-4000-8000-{number:012}") for number in (3, 1, 4, 5, 9, 2, 6)
    ]

    async def scenario(registry: Registry) -> None:
        for image in images:
            await registry.save_image(image)
        listed = [image.id for image in await registry.list_images()]
        assert listed == [image.id for image in reversed(images)]

    with_registry(url, scenario)


def test_many_writers_of_one_row_leave_one(url: str) -> None:
    """Whoever comes second writes over what the first has made."""
    image = lab.describe()
    reports = [
        VariantDocument(variant=Variant.RAW, state=VariantState.FAILED, reason=f"reason {n}")
        for n in range(8)
    ]

    async def scenario(registry: Registry) -> None:
        await asyncio.gather(*(registry.save_image(image) for _ in range(8)))
        await asyncio.gather(*(registry.save_variant(image.id, report) for report in reports))
        found = await registry.find_image(image.id)
        assert found is not None
        assert len(found.variants) == 1
        assert found.variants[0] in reports

    with_registry(url, scenario)


def test_a_large_torrent_comes_back(url: str) -> None:
    """MariaDB's plain BLOB would cut it at 64 KiB. It is read only when it is asked for."""
    image, made, data = lab.describe(), lab.torrent(), os.urandom(10 * MIB)
    document = publication.published(made, hash_algo="sha512", hash_value="ab")

    async def scenario(registry: Registry) -> None:
        await registry.save_image(image)
        await registry.save_variant(image.id, document, data)
        stored = await registry.find_variant(image.id, Variant.ORIGINAL)
        assert stored is not None
        assert stored.metainfo is not None
        assert hashlib.sha256(stored.metainfo).digest() == hashlib.sha256(data).digest()

    with_registry(url, scenario)


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
