"""Reads and writes the nodes of the registry; speaks in ``tracker/nodes/node.py``'s values.

It keeps what it is given: the rules are in ``tracker/nodes/nodes.py``. A change is made only if
nothing else was changed since its author looked (``at``): else what was decided may be wrong now.
"""

from __future__ import annotations

import contextlib
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import selectinload

from tracker.nodes.node import Node, NodeKey
from tracker.registry.models import NodeKeyRow, NodeRow, NodesRevisionRow
from tracker.registry.operations import each_to_its_end

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import CursorResult
    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

    from tracker.registry.operations import Operations


class Outdated(Exception):
    """Somebody else changed a node meanwhile: look again, and decide again."""


@dataclass(frozen=True)
class NodesNews:
    """What has changed."""

    #: To ask from the next time.
    revision: int
    #: Those that are new or have changed.
    changed: list[Node]
    #: Of all nodes that there are.
    names: set[str]


@each_to_its_end
class NodeRepository:
    """The nodes and keys in the registry's database."""

    def __init__(self, session: async_sessionmaker[AsyncSession], operations: Operations) -> None:
        self._session = session
        self._operations = operations

    async def news(self, since: int) -> NodesNews | None:
        """Return what has changed since a revision (-1: all there is); None if nothing has.

        A change that comes while this reads may be in it already, and is in the next news too.
        """
        async with self._session() as session:
            revision = await session.scalar(select(NodesRevisionRow.number))
            if revision is None:
                raise LookupError("the table nodes_revision has lost its row")
            if revision == since:
                return None
            if revision < since:  # a backup was put back
                since = -1
            changed = select(NodeRow).options(selectinload(NodeRow.keys))
            rows = await session.scalars(changed.where(NodeRow.revision > since))
            nodes = [_node(row) for row in rows]
            return NodesNews(revision, nodes, set(await session.scalars(select(NodeRow.name))))

    async def save(self, node: Node, *, at: int) -> int:
        """Write a node and its keys, new or over what is there; returns the new revision.

        Raises :class:`Outdated` if the revision is not ``at`` any more.
        """
        async with self._change(at) as session:
            await session.execute(delete(NodeKeyRow).where(NodeKeyRow.node == node.name))
            await session.merge(_row(node, revision=at + 1))
            await session.flush()
            if node.keys:
                await session.execute(insert(NodeKeyRow), [_key_values(node, k) for k in node.keys])
        return at + 1

    async def remove(self, name: str, *, at: int) -> int:
        """Remove a node and its keys; returns the new revision. Raises as :meth:`save` does."""
        async with self._change(at) as session:
            await session.execute(delete(NodeRow).where(NodeRow.name == name))
        return at + 1

    @contextlib.asynccontextmanager
    async def _change(self, at: int) -> AsyncIterator[AsyncSession]:
        """Count the revision up and have the block change a node, both or neither.

        The row of the revision is locked until then, so that changes come one after the other.
        """
        count = update(NodesRevisionRow).where(NodesRevisionRow.number == at)
        async with self._session.begin() as session:
            result: CursorResult[object] = await session.execute(count.values(number=at + 1))  # type: ignore[assignment]
            if result.rowcount != 1:
                raise Outdated
            yield session


def _row(node: Node, *, revision: int) -> NodeRow:
    return NodeRow(
        name=node.name,
        rack=node.rack,
        zone=node.zone,
        addresses=" ".join(node.addresses),
        may_publish=node.may_publish,
        created_at=node.created_at,
        revision=revision,
    )


def _key_values(node: Node, key: NodeKey) -> dict[str, object]:
    return {
        "key_hash": key.hash,
        "node": node.name,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
    }


def _node(row: NodeRow) -> Node:
    return Node(
        name=row.name,
        rack=row.rack,
        zone=row.zone,
        networks=tuple(ipaddress.ip_network(text) for text in row.addresses.split()),
        may_publish=row.may_publish,
        created_at=row.created_at,
        keys=tuple(NodeKey(key.key_hash, key.created_at, key.expires_at) for key in row.keys),
    )
