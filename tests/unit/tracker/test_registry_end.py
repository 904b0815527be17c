"""A registry that is closed has done what was begun, and leaves no thread: on each database."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import subprocess
import sys
import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import async_sessionmaker

from swarm.deadline import within
from swarm.errors import ConfigurationError, Unavailable
from tests import databases
from tests.waiting import until
from tracker.nodes.node import Node, NodeKey
from tracker.registry import database, sqlite
from tracker.registry.database import migrate, open_engine
from tracker.registry.nodes import NodeRepository
from tracker.registry.operations import LIMIT_SECONDS, Operations
from tracker.registry.repository import Registry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncEngine

pytestmark = pytest.mark.timeout(180)

#: Turns of the loop, of which one look at the nodes takes about as many.
TURNS = 40
BEGIN = datetime(2026, 11, 24, 10)  # noqa: DTZ001 - as it is kept
NODE = Node(
    name="compute-1",
    rack="r1",
    zone="",
    networks=(ipaddress.ip_network("10.0.0.1/32"),),
    may_publish=False,
    created_at=BEGIN,
    keys=(NodeKey("0" * 64, BEGIN),),
)


@pytest.fixture(params=databases.KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Make an empty database of each kind."""
    with databases.database(request.param, tmp_path) as made:
        yield made


@pytest.fixture(autouse=True)
def _no_thread_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail if a thread that the test has started goes on, or ends with an exception."""
    before, raised = set(threading.enumerate()), list[object]()
    monkeypatch.setattr(threading, "excepthook", lambda what: raised.append(what.exc_value))
    yield
    deadline = time.monotonic() + 20
    for thread in set(threading.enumerate()) - before:
        thread.join(max(0.0, deadline - time.monotonic()))
        assert not thread.is_alive(), thread
    assert raised == []


@contextlib.asynccontextmanager
async def locked(url: str) -> AsyncIterator[asyncio.Event]:
    """Keep all others from changing a node, until the event is set or the block ends."""
    engine = open_engine(url)
    holds, release = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE nodes_revision SET number = number"))
            holds.set()
            await release.wait()
        await engine.dispose()

    holder = asyncio.create_task(hold())
    await within(20, holds.wait())
    try:
        yield release
    finally:
        release.set()
        await holder


def change_begun(engine: AsyncEngine) -> asyncio.Event:
    """Return what is set when a change of a node is sent to the database."""
    begun = asyncio.Event()

    def look(*arguments: object) -> None:
        if str(arguments[2]).startswith("UPDATE nodes_revision"):
            begun.set()

    event.listen(engine.sync_engine, "before_cursor_execute", look)
    return begun


async def names_in(url: str) -> set[str]:
    """Return the names of all nodes."""
    async with Registry(url) as registry:
        news = await registry.nodes.news(-1)
        assert news is not None
        return news.names


def test_what_was_begun_is_done_though_its_caller_is_cancelled(url: str) -> None:
    """In the middle of a statement; closing the registry waits for it, and then takes no more."""

    async def scenario() -> None:
        registry = await Registry(url).__aenter__()
        begun = change_begun(registry._engine)
        async with locked(url) as release:
            saving = asyncio.create_task(registry.nodes.save(NODE, at=0))
            await within(20, begun.wait())
            saving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await saving
            closing = asyncio.create_task(registry.__aexit__())
            await asyncio.sleep(0)
            with pytest.raises(Unavailable, match="closed"):
                await registry.list_images()
            assert not closing.done()
            release.set()
            await within(LIMIT_SECONDS, closing)
        assert await names_in(url) == {NODE.name}

    asyncio.run(scenario())


@pytest.mark.parametrize("is_warm", [False, True])
def test_an_operation_can_be_cancelled_in_any_turn_and_its_loop_closed(
    url: str, *, is_warm: bool
) -> None:
    """Nobody waits for who was cancelled, as when a service ends."""

    async def scenario(turns: int) -> bool:
        async with Registry(url) as registry:
            if is_warm:  # else it has to connect first
                await registry.nodes.news(-1)
            looking = asyncio.create_task(registry.nodes.news(-1))
            for _ in range(turns):
                await asyncio.sleep(0)
            return looking.cancel()

    step = 1 if url.startswith("sqlite") else 5
    cancelled = [asyncio.run(scenario(turns)) for turns in range(0, TURNS, step)]
    assert sum(cancelled) > len(cancelled) // 4, "the premise: it was under way"


def test_an_operation_has_a_limit(url: str) -> None:
    """Its caller is told so, nothing of it is written, and the loop can be closed."""

    async def scenario() -> None:
        await migrate(url)
        engine, operations = open_engine(url), Operations(limit_seconds=0.5)
        nodes = NodeRepository(async_sessionmaker(engine), operations)
        begun = change_begun(engine)
        async with locked(url) as release:
            saving = asyncio.create_task(nodes.save(NODE, at=0))
            await within(20, begun.wait())
            # SQLite's thread can't be interrupted: it gives up when it comes back.
            asyncio.get_running_loop().call_later(2, release.set)
            with pytest.raises(Unavailable, match=r"longer than 0\.5 s"):
                await saving
        await operations.close()
        await engine.dispose()
        assert await names_in(url) == set()

    asyncio.run(scenario())


def test_what_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that goes on waiting after it was cancelled, too."""
    monkeypatch.setattr("tracker.registry.operations._CLOSING_SECONDS", 0.1)
    cancellations = 0

    async def stubborn() -> None:
        nonlocal cancellations
        try:
            await asyncio.Event().wait()
        finally:
            cancellations += 1
            if cancellations == 1:
                await stubborn()

    async def scenario() -> None:
        operations = Operations(limit_seconds=0.1)
        running = asyncio.create_task(operations.run(stubborn()))
        await until(lambda: cancellations == 1, what="it is cancelled at its limit")
        await within(20, operations.close())
        assert cancellations == 2
        await asyncio.wait([running])

    asyncio.run(scenario())


def test_a_thread_of_sqlite_answers_each_that_has_it_stop(tmp_path: Path) -> None:
    """SQLAlchemy asks twice if it is cancelled while it closes a connection."""

    async def scenario() -> None:
        connection = await sqlite.connector(make_url(f"sqlite+aiosqlite:///{tmp_path}/file"))()
        for stopped in (connection.stop(), connection.stop()):
            assert stopped is not None
            await within(20, stopped)

    asyncio.run(scenario())


def test_a_process_ends_though_its_connections_were_not_closed(tmp_path: Path) -> None:
    """As when the second SIGINT comes."""
    code = """
import asyncio, sys, threading
from tracker.registry.database import open_engine

engine = open_engine(sys.argv[1])

async def scenario():
    async with engine.connect():
        pass
    assert threading.active_count() > 1

asyncio.run(scenario())
"""
    command = [sys.executable, "-c", code, f"sqlite+aiosqlite:///{tmp_path}/file"]
    assert subprocess.run(command, check=False, timeout=30).returncode == 0


class Slow(logging.Handler):
    """Makes the thread that logs wait, as on a machine that has other work."""

    def emit(self, _: logging.LogRecord) -> None:
        """Wait."""
        time.sleep(0.05)


@pytest.fixture
def _slow_threads() -> Iterator[None]:
    """Slow down the threads of aiosqlite before and after each step, by its own log."""
    logger, slow = logging.getLogger("aiosqlite"), Slow()
    level = logger.level
    logger.addHandler(slow)
    logger.setLevel(logging.DEBUG)
    yield
    logger.removeHandler(slow)
    logger.setLevel(level)


@pytest.mark.usefixtures("_slow_threads")
def test_a_file_that_does_not_open_leaves_no_thread(tmp_path: Path) -> None:
    """Its loop may be closed at once."""

    async def scenario() -> None:
        engine = open_engine(f"sqlite+aiosqlite:///{tmp_path}/no/file")
        with pytest.raises(OperationalError, match="unable to open"):
            await engine.connect()
        await engine.dispose()

    asyncio.run(scenario())


def test_migrations_that_find_the_database_locked_leave_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have a loop of their own, which is closed at once."""
    monkeypatch.setattr(database, "_BUSY_MILLISECONDS", 20)
    url = f"sqlite+aiosqlite:///{tmp_path}/tracker.sqlite"

    async def scenario() -> None:
        await migrate(url)
        async with locked(url):
            for _ in range(10):
                with pytest.raises(ConfigurationError, match="locked"):
                    await migrate(url)

    asyncio.run(scenario())
