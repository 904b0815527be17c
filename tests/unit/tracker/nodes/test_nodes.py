"""Who is let in, from where, and what a change of keys does: on a real registry."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from swarm import node_key
from swarm.errors import Conflict, Forbidden, MalformedRequest, NodeUnknown, Unauthenticated
from swarm.messages import NodeDescription
from tests.waiting import until
from tracker.nodes import nodes as module
from tracker.nodes.change import Change, NodeChange
from tracker.nodes.nodes import Nodes
from tracker.registry.repository import Registry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

HERE = ipaddress.ip_address("10.0.0.1").packed
THERE = ipaddress.ip_address("10.0.0.2").packed
SIX = ipaddress.ip_address("2001:db8::7").packed


class Clock:
    """A clock that the test turns."""

    now = datetime(2026, 11, 24)  # noqa: DTZ001 - as the registry keeps it

    def __call__(self) -> datetime:
        """Return what the test set it to."""
        return self.now

    def turn(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


@contextlib.asynccontextmanager
async def registry_in(directory: Path) -> AsyncIterator[Registry]:
    """Open a registry in a file."""
    async with Registry(f"sqlite+aiosqlite:///{directory}/tracker.sqlite") as registry:
        yield registry


async def nodes_of(registry: Registry, **options: object) -> Nodes:
    """Return the nodes of a registry, as a tracker that starts knows them."""
    nodes = Nodes(registry.nodes, **options)  # type: ignore[arg-type]
    await nodes.refresh()
    return nodes


def with_nodes(
    directory: Path, work: Callable[[Nodes], Awaitable[None]], **options: object
) -> None:
    """Do ``work`` with nodes on an empty registry."""

    async def scenario() -> None:
        async with registry_in(directory) as registry:
            await work(await nodes_of(registry, **options))

    asyncio.run(scenario())


def wanted(name: str = "compute-1", *addresses: str, **members: object) -> NodeDescription:
    """Return the description of a node at 10.0.0.1, if nothing else is said."""
    return NodeDescription.model_validate(
        {"name": name, "rack": "r1", "addresses": addresses or ["10.0.0.1"], **members}
    )


def heard_by(nodes: Nodes) -> list[tuple[str, Change]]:
    """Return a list to which each change is added."""
    heard: list[tuple[str, Change]] = []

    def hear(change: NodeChange) -> None:
        heard.append((change.node.name, change.kind))

    nodes.on_change(hear)
    return heard


def test_a_key_lets_its_node_in_from_its_addresses_only(tmp_path: Path) -> None:
    """Another address is forbidden, another key or none is not known."""

    async def scenario(nodes: Nodes) -> None:
        node, key = await nodes.add(wanted("compute-1", "10.0.0.1", "2001:db8::/64"))
        assert nodes.admit(key.encode(), HERE) == b"r1"
        assert nodes.admit(key.encode(), SIX) == b"r1"
        assert nodes.authenticate(key, HERE) == node
        for _ in range(2):  # a refusal is not remembered as an admission
            with pytest.raises(Forbidden):
                nodes.admit(key.encode(), THERE)
            for wrong in (b"", b"x", node_key.new_key().encode(), b"x" * 100_000, b"\xff" * 47):
                with pytest.raises(Unauthenticated):
                    nodes.admit(wrong, HERE)
        assert not nodes.is_open

    with_nodes(tmp_path, scenario)


def test_a_new_tracker_on_loopback_is_open_until_a_node_is_registered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Then never again while one is there, with a key or without."""

    async def scenario(nodes: Nodes) -> None:
        assert nodes.is_open
        assert nodes.admit(b"", HERE) == b""
        assert nodes.admit(b"of another tracker", HERE) == b""
        assert nodes.authenticate("of another tracker", HERE) is None
        await nodes.add(wanted())
        assert "closed: a node is registered" in caplog.text
        await nodes.revoke("compute-1")
        assert not nodes.is_open
        with pytest.raises(Unauthenticated):
            nodes.admit(b"", HERE)
        await nodes.remove("compute-1")
        assert nodes.admit(b"", HERE) == b""

    with caplog.at_level(logging.INFO):
        with_nodes(tmp_path, scenario, opens_when_empty=True)


def test_a_tracker_on_a_network_lets_nobody_in_at_first(tmp_path: Path) -> None:
    """There is no key that it could know."""

    async def scenario(nodes: Nodes) -> None:
        for key in (b"", node_key.new_key().encode()):
            with pytest.raises(Unauthenticated):
                nodes.admit(key, HERE)

    with_nodes(tmp_path, scenario)


def test_an_open_tracker_knows_racks_and_refuses_wrong_keys(tmp_path: Path) -> None:
    """Who shows none is let in, with the rack of its address; who shows one shows a good one."""

    async def scenario(nodes: Nodes) -> None:
        _, key = await nodes.add(wanted())
        assert nodes.admit(b"", HERE) == b"r1"
        assert nodes.admit(b"", THERE) == b""
        assert nodes.admit(key.encode(), HERE) == b"r1"
        with pytest.raises(Unauthenticated):
            nodes.admit(b"wrong", HERE)
        with pytest.raises(Forbidden):
            nodes.admit(key.encode(), THERE)

    with_nodes(tmp_path, scenario, is_open=True)


def test_addresses_lead_to_nodes(tmp_path: Path) -> None:
    """Hosts and networks of both families; an IPv4 address is no IPv6 one of the same number."""

    async def scenario(nodes: Nodes) -> None:
        for name, address in (("host", "10.0.0.1"), ("net", "10.1.0.0/16"), ("six", "::/8")):
            await nodes.add(wanted(name, address))
        found = {}
        for text in ("10.0.0.1", "10.0.0.2", "10.1.0.0", "10.1.255.255", "10.2.0.0", "::10.0.0.2"):
            node = nodes.node_of(ipaddress.ip_address(text).packed)
            found[text] = node and node.name
        assert list(found.values()) == ["host", None, "net", "net", None, "six"]
        assert found["::10.0.0.2"] == "six"
        await nodes.remove("net")
        assert nodes.node_of(ipaddress.ip_address("10.1.0.0").packed) is None

    with_nodes(tmp_path, scenario)


@pytest.mark.parametrize("address", ["10.0.0.1", "10.0.0.0/24", "0.0.0.0/0", "10.0.0.1/32"])
def test_an_address_belongs_to_one_node(tmp_path: Path, address: str) -> None:
    """The refusal names the other one, and nothing of the new one is kept."""

    async def scenario(nodes: Nodes) -> None:
        await nodes.add(wanted("other", "10.0.0.1"))
        for _ in range(2):
            with pytest.raises(Conflict, match="node other") as refusal:
                await nodes.add(wanted("new", "10.9.9.9", address))
            assert refusal.value.data == {"node": "other"}
        await nodes.add(wanted("new", "10.9.9.9", "::a00:1"))
        assert [node.name for node in nodes.all_nodes()] == ["new", "other"]

    with_nodes(tmp_path, scenario)


@pytest.mark.parametrize("first", ["10.0.0.0/24", "10.0.0.0/16", "0.0.0.0/0"])
def test_a_host_in_anothers_network_is_refused(tmp_path: Path, first: str) -> None:
    """Whichever of the two is the wider."""

    async def scenario(nodes: Nodes) -> None:
        await nodes.add(wanted("other", first))
        with pytest.raises(Conflict, match="node other"):
            await nodes.add(wanted("new", "10.0.0.7"))

    with_nodes(tmp_path, scenario)


@pytest.mark.parametrize(
    "address", ["", "10.0.0.300", "10.0.0.1/8", "host.example", "::ffff:10.0.0.1", "fe80::1%eth0"]
)
def test_what_is_no_address_is_quoted(tmp_path: Path, address: str) -> None:
    """And what would have been meant is said."""

    async def scenario(nodes: Nodes) -> None:
        with pytest.raises(MalformedRequest, match="addresses: "):
            await nodes.add(wanted("new", address))
        assert nodes.all_nodes() == []

    with_nodes(tmp_path, scenario)


def test_after_a_rotation_the_old_key_has_its_grace(tmp_path: Path) -> None:
    """Both open until then, to the second, also after a restart; then the new one only."""
    clock = Clock()

    async def scenario() -> None:
        async with registry_in(tmp_path) as registry:
            nodes = await nodes_of(registry, clock=clock)
            _, old = await nodes.add(wanted())
            _, new = await nodes.rotate("compute-1", grace_seconds=60)
            clock.turn(59)
            restarted = await nodes_of(registry, clock=clock)
            for one in (nodes, restarted):
                assert one.admit(old.encode(), HERE) == one.admit(new.encode(), HERE) == b"r1"
            heard = heard_by(nodes)
            clock.turn(1)
            await nodes.refresh()
            assert heard == [("compute-1", Change.EXPIRED)]
            for one in (nodes, await nodes_of(registry, clock=clock)):
                assert one.admit(new.encode(), HERE) == b"r1"
                with pytest.raises(Unauthenticated):
                    one.admit(old.encode(), HERE)

    asyncio.run(scenario())


def test_a_key_ends_in_time_by_itself(tmp_path: Path) -> None:
    """The watch wakes for it, although nothing has changed in the registry."""

    async def scenario(nodes: Nodes) -> None:
        _, old = await nodes.add(wanted())
        await nodes.rotate("compute-1", grace_seconds=1)
        assert nodes.admit(old.encode(), HERE) == b"r1"
        heard = heard_by(nodes)
        watch = asyncio.create_task(nodes.watch())
        await until(lambda: bool(heard), what="the old key has expired", seconds=4)
        watch.cancel()
        with pytest.raises(Unauthenticated):
            nodes.admit(old.encode(), HERE)

    assert module.LOOK_SECONDS > 4, "the premise: it is not the ordinary look"
    with_nodes(tmp_path, scenario)


def test_a_rotation_without_grace_ends_the_old_key_at_once(tmp_path: Path) -> None:
    """And all that were before it."""

    async def scenario(nodes: Nodes) -> None:
        keys = [(await nodes.add(wanted()))[1]]
        keys.append((await nodes.rotate("compute-1"))[1])
        assert all(nodes.admit(key.encode(), HERE) == b"r1" for key in keys)
        node, last = await nodes.rotate("compute-1", grace_seconds=0)
        assert len(node.keys) == 1
        assert nodes.admit(last.encode(), HERE) == b"r1"
        for key in keys:
            with pytest.raises(Unauthenticated):
                nodes.admit(key.encode(), HERE)

    with_nodes(tmp_path, scenario)


def test_rotations_do_not_pile_up_keys(tmp_path: Path) -> None:
    """Of old keys the newest few go on."""

    async def scenario(nodes: Nodes) -> None:
        await nodes.add(wanted())
        for _ in range(20):
            node, key = await nodes.rotate("compute-1")
        assert len(node.keys) <= 5
        assert nodes.admit(key.encode(), HERE) == b"r1"

    with_nodes(tmp_path, scenario)


def test_a_revoked_node_stays_listed_and_gets_a_key_by_rotation(tmp_path: Path) -> None:
    """No key of before opens again."""

    async def scenario(nodes: Nodes) -> None:
        _, first = await nodes.add(wanted())
        _, second = await nodes.rotate("compute-1")
        assert nodes.admit(first.encode(), HERE) == nodes.admit(second.encode(), HERE) == b"r1"
        await nodes.revoke("compute-1")
        assert nodes.counts() == {"active": 0, "revoked": 1}
        assert nodes.show("compute-1").keys == ()
        _, third = await nodes.rotate("compute-1")
        assert nodes.admit(third.encode(), HERE) == b"r1"
        for key in (first, second):
            with pytest.raises(Unauthenticated):
                nodes.admit(key.encode(), HERE)

    with_nodes(tmp_path, scenario)


def test_what_is_not_there_is_unknown(tmp_path: Path) -> None:
    """And what is there already is a conflict."""

    async def scenario(nodes: Nodes) -> None:
        for work in (nodes.rotate, nodes.revoke, nodes.remove):
            with pytest.raises(NodeUnknown, match="nobody"):
                await work("nobody")
        await nodes.add(wanted())
        with pytest.raises(Conflict, match="there is a node compute-1"):
            await nodes.add(wanted("compute-1", "10.7.7.7"))

    with_nodes(tmp_path, scenario)


def test_each_change_is_told(tmp_path: Path) -> None:
    """In order, and as made here."""

    async def scenario(nodes: Nodes) -> None:
        await nodes.add(wanted("before", "10.3.3.3"))
        changes: list[NodeChange] = []
        nodes.on_change(changes.append)
        await nodes.add(wanted())
        await nodes.rotate("compute-1")
        await nodes.revoke("compute-1")
        await nodes.rotate("compute-1", grace_seconds=0)
        await nodes.remove("compute-1")
        assert [change.kind for change in changes] == [
            Change.ADDED,
            Change.ROTATED,
            Change.REVOKED,
            Change.ROTATED,
            Change.REMOVED,
        ]
        assert all(change.is_made_here and change.node.name == "compute-1" for change in changes)

    with_nodes(tmp_path, scenario)


def test_a_change_at_another_replica_is_taken_over_at_the_next_look(tmp_path: Path) -> None:
    """And is told as not made here; a node removed and made anew is two changes."""

    async def scenario() -> None:
        async with registry_in(tmp_path) as registry:
            one, other = await nodes_of(registry), await nodes_of(registry)
            changes: list[NodeChange] = []
            other.on_change(changes.append)
            _, key = await one.add(wanted())
            with pytest.raises(Unauthenticated):
                other.admit(key.encode(), HERE)
            await other.refresh()
            assert other.admit(key.encode(), HERE) == b"r1"
            await one.remove("compute-1")
            await one.add(wanted(rack="r2"))
            await other.refresh()
            with pytest.raises(Unauthenticated):
                other.admit(key.encode(), HERE)
            assert [c.kind for c in changes] == [Change.ADDED, Change.REMOVED, Change.ADDED]
            assert not any(change.is_made_here for change in changes)

    asyncio.run(scenario())


def test_replicas_that_change_at_once_agree(tmp_path: Path) -> None:
    """Of many nodes that want one address one gets it, whichever replica is asked."""

    async def scenario() -> None:
        async with registry_in(tmp_path) as registry:
            replicas = [await nodes_of(registry) for _ in range(4)]
            adding = [replicas[n % 4].add(wanted(f"n{n}", "10.0.0.1")) for n in range(12)]
            done = await asyncio.gather(*adding, return_exceptions=True)
            assert sum(isinstance(one, tuple) for one in done) == 1
            assert sum(isinstance(one, Conflict) for one in done) == 11
            for replica in replicas:
                await replica.refresh()
            assert len({tuple(replica.all_nodes()) for replica in replicas}) == 1

    asyncio.run(scenario())


def test_the_watch_wakes_on_a_word_and_outlives_the_registry(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """While the registry is away who was known is let in; it is said once."""

    async def scenario() -> None:
        async with registry_in(tmp_path) as registry:
            one, other = await nodes_of(registry), await nodes_of(registry)
            heard = heard_by(other)
            watch = asyncio.create_task(other.watch())
            _, key = await one.add(wanted())
            other.wake()
            await until(lambda: bool(heard), what="it has looked", seconds=4)
            file = tmp_path / "tracker.sqlite"
            await registry._engine.dispose()  # else it reads on from what it has open
            hidden = file.rename(tmp_path / "hidden")
            file.mkdir()
            for _ in range(3):
                other.wake()
                await asyncio.sleep(0)
            await until(lambda: "can't be asked about nodes" in caplog.text, what="it is said")
            assert other.admit(key.encode(), HERE) == b"r1"
            file.rmdir()
            hidden.rename(file)
            await one.revoke("compute-1")
            other.wake()
            await until(lambda: heard[-1][1] is Change.REVOKED, what="it has looked again")
            watch.cancel()
        assert caplog.text.count("can't be asked about nodes") == 1

    asyncio.run(scenario())


def test_no_key_is_kept_or_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Not in the registry's file, in the log, or in what an object or an error prints."""

    async def scenario() -> list[str]:
        async with registry_in(tmp_path) as registry:
            nodes = await nodes_of(registry)
            node, first = await nodes.add(wanted())
            _, second = await nodes.rotate("compute-1")
            with pytest.raises(Forbidden) as refusal:
                nodes.admit(first.encode(), THERE)
            shown = f"{node!r} {refusal.value!r} {refusal.value.data} {nodes!r} {caplog.text}"
            assert first not in shown
            assert second not in shown
            return [first, second]

    with caplog.at_level(logging.DEBUG):
        keys = asyncio.run(scenario())
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for key in keys:
        assert key.encode() not in stored
        assert node_key.hash_of(key).encode() in stored, "the premise: this is where it would be"
