"""`/v1/nodes`, and what credentials open at a real tracker."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

import aiohttp
import pytest

from swarm import errors, node_key
from swarm.messages import NodeDescription, NodeRotation
from swarm.tracker_client import TrackerClient
from tests.unit.tracker import lab

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

TOKEN = "long-enough-for-an-operator"  # noqa: S105 - of this test only
HOME = "127.0.0.2"


@contextlib.asynccontextmanager
async def tracker(directory: Path, **values: object) -> AsyncIterator[TrackerClient]:
    """Run a tracker; yields an operator's client."""
    async with (
        lab.tracker_at(directory, operator_token=TOKEN, **values) as anybody,
        TrackerClient(anybody.url, token=TOKEN) as operator,
    ):
        yield operator


def described(name: str = "node-1", address: str = HOME, **members: object) -> NodeDescription:
    """Return the description of a node."""
    return NodeDescription.model_validate(
        {"name": name, "rack": "r1", "zone": "z", "addresses": [address], **members}
    )


def as_node(url: str, key: str | None, address: str = HOME) -> TrackerClient:
    """Return a client with a key, at an address."""
    return TrackerClient(url, token=key, local_address=address)


def test_the_life_of_a_node(tmp_path: Path) -> None:
    """Added, shown, rotated, revoked, removed; its key is told when it is made, and only then."""

    async def scenario() -> None:
        async with tracker(tmp_path) as operator:
            assert await operator.list_nodes() == []
            created = await operator.add_node(described(may_publish=True))
            assert node_key.is_key(created.key)
            node = created.node
            assert (node.name, node.rack, node.zone, node.may_publish) == (
                "node-1",
                "r1",
                "z",
                True,
            )
            assert node.addresses == [f"{HOME}/32"]
            assert (node.has_key, len(node.keys), node.is_connected) == (True, 1, False)
            assert await operator.show_node("node-1") == node
            assert await operator.list_nodes() == [node]

            rotated = await operator.rotate_node("node-1", NodeRotation(grace_seconds=60))
            assert rotated.key != created.key
            assert [key.expires_at is None for key in rotated.node.keys] == [False, True]
            revoked = await operator.revoke_node("node-1")
            assert (revoked.has_key, revoked.keys) == (False, [])
            await operator.remove_node("node-1")
            for work in (operator.show_node, operator.revoke_node, operator.remove_node):
                with pytest.raises(errors.NodeUnknown):
                    await work("node-1")

    asyncio.run(scenario())


def test_a_key_is_in_no_cache_and_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is done with it."""

    async def scenario() -> str:
        async with tracker(tmp_path) as operator, aiohttp.ClientSession() as session:
            async with session.post(
                f"{operator.url}/v1/nodes",
                data=described().model_dump_json(),
                headers={"Authorization": f"Bearer {TOKEN}"},
            ) as response:
                assert response.status == 201
                assert response.headers["Cache-Control"] == "no-store"
                key = str((await response.json())["key"])
            with pytest.raises(errors.Forbidden):
                async with as_node(operator.url, key, "127.0.0.3") as stranger:
                    await stranger.list_images()
            await lab.get(operator, f"/announce/{key}?info_hash=x")
            return key

    with caplog.at_level(logging.DEBUG):
        key = asyncio.run(scenario())
    assert "is registered" in caplog.text, "the premise: something is logged"
    assert key not in caplog.text
    assert TOKEN not in caplog.text


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ({"name": "Node"}, "name"),
        ({"name": "-x"}, "name"),
        ({"name": "a" * 256}, "name"),
        ({"name": "a/b"}, "name"),
        ({"rack": "a\nb"}, "rack"),
        ({"rack": "a" * 256}, "rack"),
        ({"addresses": []}, "addresses"),
        ({"addresses": ["10.0.0.1/8"]}, "addresses: 10.0.0.1/8 has host bits set"),
        ({"addresses": ["x" * 65]}, "addresses"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_malformed_description_is_refused(
    tmp_path: Path, members: dict[str, object], complaint: str
) -> None:
    """With the member that is wrong; nothing is registered."""
    body = {"name": "node-1", "addresses": [HOME], **members}

    async def scenario() -> None:
        async with tracker(tmp_path) as operator, aiohttp.ClientSession() as session:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            url = f"{operator.url}/v1/nodes"
            async with session.post(url, json=body, headers=headers) as response:
                problem = await response.json(content_type=None)
                assert (response.status, problem["code"]) == (400, "malformed_request")
                assert complaint in problem["detail"]
            assert await operator.list_nodes() == []

    asyncio.run(scenario())


def test_an_address_of_another_node_is_a_conflict(tmp_path: Path) -> None:
    """409, with the name of the other."""

    async def scenario() -> None:
        async with tracker(tmp_path) as operator:
            await operator.add_node(described())
            with pytest.raises(errors.Conflict, match="node-1") as refusal:
                await operator.add_node(described("node-2", "127.0.0.0/8"))
            assert refusal.value.data["node"] == "node-1"

    asyncio.run(scenario())


def test_credentials_open_what_they_are_for(tmp_path: Path) -> None:
    """Nobody reads without a key; nodes read, seeders write, operators do both and more."""

    async def scenario() -> None:
        async with tracker(tmp_path) as operator:
            reader = (await operator.add_node(described())).key
            writer = (await operator.add_node(described("s", "127.0.0.3", may_publish=True))).key
            async with as_node(operator.url, writer, "127.0.0.3") as seeder:
                await seeder.register_image(lab.describe())
                made = await lab.publish(seeder)
                with pytest.raises(errors.Forbidden, match="only an operator"):
                    await seeder.list_nodes()
            async with as_node(operator.url, reader) as node:
                assert (await node.find_image("debian-12")).id == lab.IMAGE
                assert await node.fetch_torrent(lab.IMAGE, lab.Variant.ORIGINAL) == made.data
                with pytest.raises(errors.Forbidden, match="may publish"):
                    await node.withdraw_image(lab.IMAGE)
            async with as_node(operator.url, reader, "127.0.0.9") as stolen:
                with pytest.raises(errors.Forbidden, match="your address"):
                    await stolen.list_images()
            async with as_node(operator.url, None) as nobody:
                await nobody.call("GET", "/healthz")
                await nobody.call("GET", "/openapi.json")
                for path in ("/v1/images", "/v1/nodes", "/v1/swarms", "/v1/events", "/v1/control"):
                    with pytest.raises(errors.Unauthenticated):
                        await nobody.call("GET", path)
            await operator.withdraw_image(lab.IMAGE)

    asyncio.run(scenario())


def test_announces_take_the_key_in_their_path(tmp_path: Path) -> None:
    """Without it, with another or from another address there is a failure reason."""

    async def scenario() -> None:
        async with tracker(tmp_path) as operator:
            await operator.register_image(lab.describe())
            made = await lab.publish(operator)
            key = (await operator.add_node(described())).key
            async with as_node(operator.url, key) as node:
                path = node.announce_url.removeprefix(node.url)
            assert path == f"/announce/{key}"
            assert operator.announce_url == f"{operator.url}/announce", "no operator's token in it"
            query = f"?info_hash={lab.quoted(made.announce_hash)}&peer_id={'p' * 20}&port=9&left=1"
            query += "&uploaded=0&downloaded=0"
            for target, source, is_admitted in (
                (path, HOME, True),
                (path, "127.0.0.3", False),
                ("/announce", HOME, False),
                (f"/announce/{node_key.new_key()}", HOME, False),
                (f"/announce/{TOKEN}", HOME, False),
            ):
                answer = await lab.get(operator, target + query, source=source)
                assert (b"failure reason" not in answer) == is_admitted, (target, source, answer)

    asyncio.run(scenario())


def test_on_loopback_everything_is_open_until_the_first_node(tmp_path: Path) -> None:
    """Also registering it; from then on the operator shows the token."""

    async def scenario() -> None:
        async with tracker(tmp_path) as operator, TrackerClient(operator.url) as anybody:
            await anybody.register_image(lab.describe())
            await anybody.add_node(described())
            for call in (anybody.list_images, anybody.list_nodes):
                with pytest.raises(errors.Unauthenticated):
                    await call()
            assert await operator.list_images() != []

    asyncio.run(scenario())


def test_an_open_tracker_on_a_network_lets_nobody_register_nodes(tmp_path: Path) -> None:
    """A key that a stranger made would outlive the day on which the tracker is closed."""

    async def scenario() -> None:
        values = {"listen_address": ["0.0.0.0"], "open": True}
        async with tracker(tmp_path, **values) as operator:
            url = operator.url.replace("0.0.0.0", "127.0.0.1")
            async with TrackerClient(url) as anybody, TrackerClient(url, token=TOKEN) as known:
                await anybody.register_image(lab.describe())
                with pytest.raises(errors.Unauthenticated):
                    await anybody.add_node(described())
                await known.add_node(described())
                assert await anybody.list_images() != []

    asyncio.run(scenario())


def test_a_tracker_on_a_network_is_closed(tmp_path: Path) -> None:
    """Without `open` it may listen there: nobody gets in who is not registered."""

    async def scenario() -> None:
        async with tracker(tmp_path, listen_address=["0.0.0.0"]) as operator:
            url = operator.url.replace("0.0.0.0", "127.0.0.1")
            async with TrackerClient(url) as anybody, TrackerClient(url, token=TOKEN) as known:
                with pytest.raises(errors.Unauthenticated):
                    await anybody.list_images()
                assert await known.list_images() == []

    asyncio.run(scenario())
