"""A node whose keys are revoked is out within seconds: of the API, its swarms, its connections."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from swarm.engine import Engine, EngineSettings
from swarm.errors import Unauthenticated
from swarm.membership import member
from swarm.messages import NodeDescription, NodeRotation
from swarm.tracker_client import TrackerClient
from tests.images import IMAGE_ID, torrent_of, write_random
from tests.unit.tracker import lab
from tests.waiting import until, until_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from swarm.membership import Membership

TOKEN = "long-enough-for-an-operator"  # noqa: S105 - of this test only
#: "Within seconds".
SECONDS = 5.0
SIZE = (4 << 20) + 5


@contextlib.asynccontextmanager
async def closed_tracker(directory: Path) -> AsyncIterator[TrackerClient]:
    """Run a tracker that asks everybody who they are; yields an operator's client."""
    async with (
        lab.tracker_at(directory, operator_token=TOKEN) as anybody,
        TrackerClient(anybody.url, token=TOKEN) as operator,
    ):
        yield operator


async def add_node(operator: TrackerClient, number: int, *, may_publish: bool = False) -> str:
    """Register a node at 127.0.0.<number> and return its key."""
    description = NodeDescription(
        name=f"node-{number}", rack="r1", addresses=[f"127.0.0.{number}"], may_publish=may_publish
    )
    return (await operator.add_node(description)).key


@contextlib.asynccontextmanager
async def node(
    url: str, number: int, key: str, **settings: int
) -> AsyncIterator[tuple[TrackerClient, Engine, Membership]]:
    """Run an engine at 127.0.0.<number> that is on the control channel with its key."""
    address = f"127.0.0.{number}"
    async with (
        TrackerClient(url, token=key, local_address=address) as client,
        Engine(EngineSettings(listen_address=address, listen_port=0, **settings)) as engine,
        member(engine, client, role="agent", node="as it likes") as membership,
    ):
        yield client, engine, membership


def test_a_revoked_node_is_cut_off(tmp_path: Path) -> None:
    """From everything at once; a new key lets it in again."""
    source = write_random(tmp_path / "source", SIZE)
    torrent = torrent_of(source)

    async def scenario() -> None:
        async with closed_tracker(tmp_path) as operator:
            keys = [await add_node(operator, number, may_publish=True) for number in (2, 3)]
            async with (
                node(operator.url, 2, keys[0], upload_limit=50_000) as (client, one, member),
                node(operator.url, 3, keys[1]) as (other, two, _),
            ):
                await client.register_image(lab.describe(IMAGE_ID, size=SIZE, os_hash_value=None))
                await lab.publish(client, source.read_bytes(), IMAGE_ID)
                await one.add(torrent, source, announce_url=client.announce_url, have_all=True)
                copy = await two.add(torrent, tmp_path / "copy", announce_url=other.announce_url)
                await until(lambda: copy.progress().peers == 1, what="they are connected")
                assert member.is_connected

                await operator.revoke_node("node-2")
                await until(lambda: not member.is_connected, what="its channel", seconds=SECONDS)
                await until(
                    lambda: copy.progress().peers == 0, what="its connection", seconds=SECONDS
                )
                with pytest.raises(Unauthenticated):
                    await client.list_images()
                path = client.announce_url.removeprefix(client.url)
                query = f"info_hash={lab.quoted(torrent.announce_hash)}&peer_id={'p' * 20}"
                refused = await lab.get(
                    client,
                    f"{path}?{query}&port=1&uploaded=0&downloaded=0&left=0",
                    source="127.0.0.2",
                )
                assert refused.keys() == {b"failure reason"}

                async def is_forgotten() -> bool:
                    answer = await lab.get(
                        other,
                        f"{other.announce_url.removeprefix(other.url)}?{query}"
                        "&port=9&uploaded=0&downloaded=0&left=1",
                        source="127.0.0.3",
                    )
                    return ("127.0.0.2", one.port) not in lab.addresses(answer)

                await until_async(is_forgotten, what="nobody is handed it", seconds=SECONDS)
            key = (await operator.rotate_node("node-2", NodeRotation())).key
            async with node(operator.url, 2, key) as (_, _, member):
                await until(lambda: member.is_connected, what="it is back")

    asyncio.run(scenario())


def test_a_node_that_may_not_publish_is_no_seeder(tmp_path: Path) -> None:
    """It would be asked to convert images, and could deny that they exist."""

    async def scenario() -> None:
        async with closed_tracker(tmp_path) as operator:
            key = await add_node(operator, 2)
            async with (
                TrackerClient(operator.url, token=key, local_address="127.0.0.2") as client,
                client.session.ws_connect(f"{client.url}/v1/control") as socket,
            ):
                await socket.send_str('{"type": "hello", "role": "seeder", "node": "x"}')
                message = await socket.receive(timeout=SECONDS)
                assert (message.data, message.extra) == (1008, "this node may not publish")

    asyncio.run(scenario())
