"""Who may take part: asked at each announce and each request, so the answers are in memory.

The registry is the truth. It is read at the start; each change is written there first, then taken
over here; and it is looked at again every few seconds, and at once when another replica says so.
While it can't be reached, what was known stays true.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from swarm import node_key
from swarm.deadline import within
from swarm.errors import Conflict, Forbidden, NodeUnknown, Unauthenticated
from tracker.nodes.change import changes_between
from tracker.nodes.node import Node, NodeKey, networks_of
from tracker.nodes.table import NodeTable
from tracker.registry.nodes import Outdated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from swarm.messages import NodeDescription
    from tracker.nodes.change import NodeChange
    from tracker.nodes.node import Network
    from tracker.registry.nodes import NodeRepository

_LOG = logging.getLogger(__name__)

#: How often the registry is asked whether something has changed.
LOOK_SECONDS = 5.0
#: How long an old key goes on after a rotation, unless it is said.
GRACE_SECONDS = 3600
#: Pairs of key and address that are remembered as admitted.
_MOST_ADMITTED = 1 << 16
#: Keys in their grace; with more rotations than that the oldest ends early.
_MOST_OLD_KEYS = 4


def utc_now() -> datetime:
    """Return the time as the registry keeps it: UTC, without a zone."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


class Nodes:
    """All nodes of this cloud.

    ``is_open``: nobody has to show a key. ``opens_when_empty``: nor does anybody while no node is
    registered, which is how a tracker on loopback begins.
    """

    def __init__(
        self,
        repository: NodeRepository,
        *,
        is_open: bool = False,
        opens_when_empty: bool = False,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._repository = repository
        self._is_open = is_open
        self._opens_when_empty = opens_when_empty
        self._clock = clock
        self._revision = -1
        self._table = NodeTable()
        self._admitted: dict[tuple[bytes, bytes], bytes] = {}
        self._listeners: list[Callable[[NodeChange], None]] = []
        self._one_at_a_time = asyncio.Lock()
        self._has_news = asyncio.Event()

    # Who may

    @property
    def is_open(self) -> bool:
        """Whether who shows no key is let in."""
        return self._is_open or (self._opens_when_empty and not len(self._table))

    def admit(self, key: bytes, address: bytes) -> bytes:
        """Return the rack of the node that announces from ``address`` (4 or 16 bytes).

        ``key`` is empty if none was shown; the rack is empty if it is not known. Raises
        :class:`~swarm.errors.Unauthenticated` or :class:`~swarm.errors.Forbidden`.
        """
        rack = self._admitted.get((key, address))
        return self._admit(key, address) if rack is None else rack

    def _admit(self, key: bytes, address: bytes) -> bytes:
        self._judge(key, address)
        rack = self.rack_of(address)  # a key holds at its node's addresses only
        if len(self._admitted) >= _MOST_ADMITTED:
            self._admitted.clear()
        self._admitted[key, address] = rack
        return rack

    def authenticate(self, key: str, address: bytes) -> Node | None:
        """Return the node whose key that is; None if nobody has to show one, and it did not.

        Raises as :meth:`admit` does.
        """
        return self._judge(key.encode("utf-8", "replace"), address)

    def _judge(self, key: bytes, address: bytes) -> Node | None:
        if self.is_open and not (key and len(self._table)):
            return None
        if not key:
            raise Unauthenticated("this tracker wants to see the key of a node")
        # What has another length is not worth hashing, however long it is.
        found = len(key) == node_key.KEY_LENGTH and self._table.by_key(node_key.hash_of(key))
        if not found or not found[1].is_valid(self._clock()):
            raise Unauthenticated("that key opens nothing here: it is wrong, replaced or revoked")
        node = found[0]
        if not node.is_at(address):
            raise Forbidden(
                f"the key of node {node.name} does not hold for your address", node=node.name
            )
        return node

    def node_of(self, address: bytes) -> Node | None:
        """Return the node that an address (4 or 16 bytes) belongs to."""
        return self._table.by_address(address)

    def rack_of(self, address: bytes) -> bytes:
        """Return the rack of that node; empty if either is not known."""
        node = self._table.by_address(address)
        return b"" if node is None else node.rack.encode()

    # What is there

    def all_nodes(self) -> list[Node]:
        """Return all nodes by name."""
        return list(self._table)

    def counts(self) -> dict[str, int]:
        """Return how many nodes have a key (``active``), and how many have none."""
        active = sum(1 for node in self._table.values() if node.keys)
        return {"active": active, "revoked": len(self._table) - active}

    def show(self, name: str) -> Node:
        """Return one node. Raises :class:`~swarm.errors.NodeUnknown`."""
        node = self._table.get(name)
        if node is None:
            raise NodeUnknown(f"no node has the name {name!r:.80}", name=name[:255])
        return node

    # Changes

    def on_change(self, listener: Callable[[NodeChange], None]) -> None:
        """Call ``listener`` for each change from now on: it must neither wait nor raise."""
        self._listeners.append(listener)

    async def add(self, wanted: NodeDescription) -> tuple[Node, str]:
        """Register a node; returns it with its key, which nobody can be told again.

        Raises :class:`~swarm.errors.MalformedRequest` for an address that is none, and
        :class:`~swarm.errors.Conflict` if another node has its name or one of its addresses.
        """
        networks, key = networks_of(wanted.addresses), node_key.new_key()

        def decide() -> Node:
            self._check_new(wanted.name, networks)
            now = self._clock()
            return Node(
                name=wanted.name,
                rack=wanted.rack,
                zone=wanted.zone,
                networks=networks,
                may_publish=wanted.may_publish,
                created_at=now,
                keys=(NodeKey(node_key.hash_of(key), now),),
            )

        node = await self._change(decide)
        _LOG.info("node %s is registered", node.name)
        return node, key

    def _check_new(self, name: str, networks: Sequence[Network]) -> None:
        if self._table.get(name) is not None:
            raise Conflict(f"there is a node {name}; rotate its key, or remove it first", node=name)
        for network in networks:
            other = self._table.overlapping(network)
            if other is not None:
                raise Conflict(
                    f"{network} overlaps with node {other.name} ({', '.join(other.addresses)}); "
                    "each address belongs to one node",
                    node=other.name,
                )

    async def rotate(self, name: str, *, grace_seconds: int = GRACE_SECONDS) -> tuple[Node, str]:
        """Give a node a new key; those that it has go on for a grace (0: end at once).

        Returns the node and the key. Raises :class:`~swarm.errors.NodeUnknown`.
        """
        key = node_key.new_key()

        def decide() -> Node:
            node, now = self.show(name), self._clock()
            kept = _shortened(node.keys, now + timedelta(seconds=grace_seconds))
            old = [k for k in kept if k.is_valid(now)][-_MOST_OLD_KEYS:]
            return replace(node, keys=(*old, NodeKey(node_key.hash_of(key), now)))

        node = await self._change(decide)
        _LOG.info("node %s has a new key", name)
        return node, key

    async def revoke(self, name: str) -> Node:
        """End all keys of a node at once. Raises :class:`~swarm.errors.NodeUnknown`."""
        node = await self._change(lambda: replace(self.show(name), keys=()))
        _LOG.info("node %s has no key any more", name)
        return node

    async def remove(self, name: str) -> None:
        """Forget a node and its keys. Raises :class:`~swarm.errors.NodeUnknown`."""
        async with self._one_at_a_time:
            while True:
                await self._catch_up()
                self.show(name)
                with contextlib.suppress(Outdated):
                    self._revision = await self._repository.remove(name, at=self._revision)
                    break
            self._take(name, None, is_made_here=True)
        _LOG.info("node %s is removed", name)

    async def _change(self, decide: Callable[[], Node]) -> Node:
        """Write what ``decide`` makes of the table; again, if another replica was faster."""
        async with self._one_at_a_time:
            while True:
                await self._catch_up()
                node = decide()
                with contextlib.suppress(Outdated):
                    self._revision = await self._repository.save(node, at=self._revision)
                    break
            self._take(node.name, node, is_made_here=True)
        return node

    # What others changed

    def wake(self) -> None:
        """Look at the registry soon: another replica said that there is news."""
        self._has_news.set()

    async def refresh(self) -> None:
        """Take over what has changed in the registry; the first time, all that there is.

        Raises what the registry's database raises.
        """
        async with self._one_at_a_time:
            await self._catch_up()

    async def watch(self) -> None:
        """Keep up with the registry, and end keys in time; runs until cancelled."""
        is_away = False
        while True:
            with contextlib.suppress(asyncio.TimeoutError):
                await within(self._pause_seconds(), self._has_news.wait())
            self._has_news.clear()
            try:
                await self.refresh()
            except Exception as error:  # noqa: BLE001 - whatever ails the registry's database
                if not is_away:
                    _LOG.warning("the registry can't be asked about nodes: %r; trying again", error)
                is_away = True
            else:
                is_away = False

    def _pause_seconds(self) -> float:
        expiry = self._table.first_expiry()
        if expiry is None:
            return LOOK_SECONDS
        return min(LOOK_SECONDS, max(0.0, (expiry - self._clock()).total_seconds()))

    async def _catch_up(self) -> None:
        self._end_expired()
        news = await self._repository.news(self._revision)
        if news is None:
            return
        for node in news.changed:
            self._take(node.name, node)
        for name in [node.name for node in self._table if node.name not in news.names]:
            self._take(name, None)
        self._revision = news.revision

    def _end_expired(self) -> None:
        expiry = self._table.first_expiry()
        if expiry is not None and expiry <= self._clock():
            for node in self._table:
                self._take(node.name, node)

    def _take(self, name: str, node: Node | None, *, is_made_here: bool = False) -> None:
        """Have a node in the table as it is now, without keys that have ended."""
        before, was_open = self._table.get(name), self.is_open
        if node is None:
            self._table.drop(name)
        else:
            now = self._clock()
            node = replace(node, keys=tuple(key for key in node.keys if key.is_valid(now)))
            self._table.put(node)
        self._admitted.clear()
        if was_open and not self.is_open:
            _LOG.info("closed: a node is registered, and from now on everybody shows a key")
        for change in changes_between(before, node, is_made_here=is_made_here):
            for listener in self._listeners:
                listener(change)


def _shortened(keys: Iterable[NodeKey], end: datetime) -> list[NodeKey]:
    """Return ``keys``, none of which outlives ``end``."""
    return [replace(key, expires_at=min(key.expires_at or end, end)) for key in keys]
