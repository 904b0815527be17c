"""The API over HTTP, as its client calls it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from typing import TYPE_CHECKING

import aiohttp
import pytest

from peer import api
from swarm.agent_client import AgentClient
from swarm.deadline import within
from swarm.errors import (
    DestinationExists,
    DestinationOutsideRoots,
    ImageUnknown,
    MalformedRequest,
    TransferUnknown,
)
from swarm.fleet import free_port
from swarm.messages import TransferRequest, TransferState
from swarm.tracker_client import TrackerClient
from swarm.web import server
from tests.images import IMAGE_ID
from tests.unit.peer.neighbourhood import Agent, agent_at, seeded, tracker_at
from tests.unit.tracker import lab

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@contextlib.asynccontextmanager
async def served(
    directory: Path, tracker: TrackerClient
) -> AsyncIterator[tuple[Agent, AgentClient]]:
    """Run an agent with its API; yields it and a client."""
    async with agent_at(directory, tracker) as agent:
        app = api.application(agent.runner, tracker)
        async with (
            server.serving(app, address="127.0.0.1", port=0) as urls,
            AgentClient(urls[0]) as client,
        ):
            yield agent, client


def nobody() -> TrackerClient:
    """Return a client of a tracker that is not there."""
    return TrackerClient(f"http://127.0.0.1:{free_port('127.0.0.1')}")


def test_a_transfer_from_request_to_oblivion(tmp_path: Path) -> None:
    """POST waits for the end; the document is shown and listed; DELETE forgets it."""

    async def scenario() -> None:
        async with (
            tracker_at(tmp_path) as tracker,
            seeded(tracker, tmp_path) as image,
            served(tmp_path, tracker) as (agent, client),
        ):
            request = agent.request()
            done = await client.create_transfer(request, wait_seconds=30.0)
            assert done.state is TransferState.COMPLETE
            assert done.progress == image.torrent.size
            assert done.info_hash == image.torrent.info_hash.hex()
            assert [transfer.id for transfer in await client.list_transfers()] == [done.id]
            assert (await client.show_transfer(done.id)).state is TransferState.COMPLETE
            with pytest.raises(DestinationExists):
                await client.create_transfer(request)
            await client.cancel_transfer(done.id)
            with pytest.raises(TransferUnknown):
                await client.show_transfer(done.id)

    asyncio.run(scenario())


def test_without_a_tracker_a_transfer_is_taken_in_and_can_be_cancelled(tmp_path: Path) -> None:
    """It waits for the tracker; a wait of the client ends with the state as it is."""

    async def scenario() -> None:
        async with nobody() as tracker, served(tmp_path, tracker) as (agent, client):
            taken = await client.create_transfer(agent.request())
            assert taken.state in {TransferState.QUEUED, TransferState.PREPARING}
            shown = await client.show_transfer(taken.id, wait_seconds=0.2)
            assert shown.state is TransferState.PREPARING
            waiting = asyncio.create_task(client.show_transfer(taken.id, wait_seconds=30.0))
            await client.cancel_transfer(taken.id)
            assert (await within(10.0, waiting)).state is TransferState.CANCELLED

    asyncio.run(scenario())


def test_an_image_that_no_source_has_is_refused_at_once(tmp_path: Path) -> None:
    """404 image_unknown, and no transfer: a seeder was asked and does not have it."""

    async def scenario() -> None:
        async with (
            tracker_at(tmp_path) as tracker,
            served(tmp_path, tracker) as (agent, client),
            lab.connected(tracker, lab.FakeNode(refuse_with="image_unknown")),
        ):
            request = agent.request(image_id=str(uuid.uuid4()))
            with pytest.raises(ImageUnknown):
                await client.create_transfer(request)
            assert await client.list_transfers() == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"destination_url": "DEST"}',
        b'{"image_id": "X", "destination_url": "DEST"}',
        b'{"image_id": "IMAGE"}',
        b'{"image_id": "IMAGE", "source_url": "glance:IMAGE", "destination_url": "DEST"}',
        b'{"image_id": "IMAGE", "destination_url": "DEST", "priority": "boot"}',
        b'{"image_id": "IMAGE", "destination_url": "DEST", "verify": "never"}',
        b'{"source_url": "http://IMAGE", "destination_url": "DEST"}',
        b'{"source_url": "glance:IMAGE/file", "destination_url": "DEST"}',
        b'{"source_url": "glance:", "destination_url": "DEST"}',
    ],
)
def test_a_malformed_request_is_refused_and_changes_nothing(tmp_path: Path, body: bytes) -> None:
    """400 malformed_request with a sentence; no transfer, no file."""

    async def scenario() -> None:
        async with nobody() as tracker, served(tmp_path, tracker) as (agent, client):
            filled = body.replace(b"IMAGE", IMAGE_ID.encode()).replace(
                b"DEST", f"file://{agent.root}/disk".encode()
            )
            with pytest.raises(MalformedRequest) as caught:
                await client.call("POST", "/v1/transfers", body=filled)
            assert caught.value.detail
            assert await client.list_transfers() == []
            assert list(agent.root.iterdir()) == []

    asyncio.run(scenario())


def test_a_destination_is_judged_before_the_transfer_is_taken_in(tmp_path: Path) -> None:
    """Outside the roots, or through a symbolic link: 403, and nothing is written."""

    async def scenario() -> None:
        async with nobody() as tracker, served(tmp_path, tracker) as (agent, client):
            (agent.root / "link").symlink_to(tmp_path)
            for url in ("file:///etc/disk", f"file://{agent.root}/link/disk"):
                with pytest.raises(DestinationOutsideRoots):
                    await client.create_transfer(
                        TransferRequest(image_id=IMAGE_ID, destination_url=url)
                    )
            assert await client.list_transfers() == []

    asyncio.run(scenario())


@pytest.mark.parametrize("source", ["glance:{}", "glance://{}"])
def test_the_form_of_the_answer(tmp_path: Path, source: str) -> None:
    """202 with Location; both spellings of a source; Prefer: wait; a bad wait is refused."""

    async def scenario() -> None:
        async with nobody() as tracker, served(tmp_path, tracker) as (agent, client):
            body = {
                "source_url": source.format(IMAGE_ID),
                "destination_url": f"file://{agent.root}/disk",
            }
            async with aiohttp.ClientSession() as session:
                url = f"{client.url}/v1/transfers"
                async with session.post(
                    url, data=json.dumps(body), headers={"Prefer": "respond-async, wait=0.1"}
                ) as answer:
                    document = await answer.json()
                    assert answer.status == 202
                    assert answer.headers["Location"] == f"/v1/transfers/{document['id']}"
                    assert document["source_url"] == f"glance:{IMAGE_ID}"
                async with session.get(f"{url}/{document['id']}?wait=soon") as answer:
                    assert answer.status == 400
                async with session.delete(f"{url}/{document['id']}") as answer:
                    assert answer.status == 204
                async with session.delete(f"{url}/nonsense") as answer:
                    assert (answer.status, (await answer.json())["code"]) == (
                        404,
                        "transfer_unknown",
                    )

    asyncio.run(scenario())
