"""Nodes in the registry, on each of its databases."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from tests import databases
from tracker.nodes.node import Node, NodeKey
from tracker.registry.database import open_engine
from tracker.registry.nodes import NodeRepository, NodesNews, Outdated
from tracker.registry.repository import Registry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(180)

BEGIN = datetime(2026, 11, 24, 10, 0, 0, 123456)  # noqa: DTZ001 - as it is kept


@pytest.fixture(params=databases.KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Make an empty database of each kind."""
    with databases.database(request.param, tmp_path) as made:
        yield made


def with_nodes(url: str, work: Callable[[NodeRepository], Awaitable[None]]) -> None:
    """Do ``work`` with the nodes of a registry that is opened for it."""

    async def scenario() -> None:
        async with Registry(url) as registry:
            await work(registry.nodes)

    asyncio.run(scenario())


def node(name: str = "compute-1", *, keys: int = 1, **changes: object) -> Node:
    """Return a node with so many keys, of which all but the last expire."""
    made = [
        NodeKey(f"{name}-{number}".ljust(64, "0"), BEGIN + timedelta(seconds=number))
        for number in range(keys)
    ]
    old = [replace(key, expires_at=BEGIN + timedelta(hours=1)) for key in made[:-1]]
    whole = Node(
        name=name,
        rack="Räck 1",
        zone="",
        networks=(ipaddress.ip_network("10.0.0.1/32"), ipaddress.ip_network("2001:db8::/64")),
        may_publish=True,
        created_at=BEGIN,
        keys=(*old, *made[-1:]),
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


async def news(nodes: NodeRepository, since: int) -> NodesNews:
    """Return what has changed, which something has."""
    found = await nodes.news(since)
    assert found is not None
    return found


def test_a_node_comes_back_as_it_was_saved(url: str) -> None:
    """All of it, its keys in the order in which they were made; after a restart too."""
    first, second = node(keys=3), node("seeder-1", may_publish=False, networks=(), keys=0)

    async def write(nodes: NodeRepository) -> None:
        assert (await news(nodes, -1)).changed == []
        assert await nodes.save(first, at=0) == 1
        assert await nodes.save(second, at=1) == 2

    async def read(nodes: NodeRepository) -> None:
        found = await news(nodes, -1)
        assert sorted(found.changed, key=lambda one: one.name) == [first, second]
        assert found.names == {"compute-1", "seeder-1"}
        assert found.revision == 2

    with_nodes(url, write)
    with_nodes(url, read)


def test_only_news_are_told(url: str) -> None:
    """What was changed, added or removed since the last look, and nothing twice."""

    async def scenario(nodes: NodeRepository) -> None:
        for number in range(3):
            await nodes.save(node(f"n{number}"), at=number)
        assert (await news(nodes, 2)).changed == [node("n2")]
        assert await nodes.news(3) is None
        rotated = node("n0", keys=2)
        assert await nodes.save(rotated, at=3) == 4
        assert (await news(nodes, 3)).changed == [rotated]
        assert await nodes.remove("n1", at=4) == 5
        gone = await news(nodes, 4)
        assert (gone.changed, gone.names) == ([], {"n0", "n2"})
        again = await news(nodes, 99)  # a backup was put back
        assert {one.name for one in again.changed} == {"n0", "n2"}

    with_nodes(url, scenario)


def test_who_has_not_seen_the_last_change_changes_nothing(url: str) -> None:
    """Neither a node nor its keys."""

    async def scenario(nodes: NodeRepository) -> None:
        await nodes.save(node(), at=0)
        for at in (0, 2):
            with pytest.raises(Outdated):
                await nodes.save(node(keys=0), at=at)
            with pytest.raises(Outdated):
                await nodes.remove("compute-1", at=at)
        assert (await news(nodes, -1)).changed == [node()]

    with_nodes(url, scenario)


def test_of_changes_at_one_moment_one_is_made(url: str) -> None:
    """Each of two replicas took its decision without the other's: one of them has to look again."""

    async def scenario(nodes: NodeRepository) -> None:
        async with Registry(url) as other:
            saves = [
                (nodes if number % 2 else other.nodes).save(node(f"n{number}"), at=0)
                for number in range(8)
            ]
            done = await asyncio.gather(*saves, return_exceptions=True)
        assert done.count(1) == 1
        assert sum(isinstance(one, Outdated) for one in done) == 7
        assert len((await news(nodes, -1)).changed) == 1

    with_nodes(url, scenario)


def test_keys_go_with_their_node(url: str) -> None:
    """By the foreign key; and no key can belong to two nodes."""

    async def scenario(nodes: NodeRepository) -> None:
        await nodes.save(node(keys=2), at=0)
        await nodes.remove("compute-1", at=1)
        engine = open_engine(url)
        async with engine.connect() as connection:
            assert await connection.scalar(text("SELECT count(*) FROM node_keys")) == 0
        await engine.dispose()

    with_nodes(url, scenario)
