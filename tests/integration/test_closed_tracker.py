"""An image from a seeder to an agent through a tracker that asks everybody who they are."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import pytest

from swarm.messages import NodeDescription, TransferState
from swarm.tracker_client import TrackerClient
from tests.images import write_random
from tests.integration.deployment import Deployment, deployment, fetch, to_file

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(120)

TOKEN = "long-enough-for-an-operator"  # noqa: S105 - of this test only
SIZE = (8 << 20) + 7
#: Of a deployment: the seeder, an agent that is registered, and one that is not.
SEEDER, AGENT, STRANGER = "127.0.0.10", 1, 2


def with_image(directory: Path) -> Path:
    """Make one image for a seeder to find."""
    images = directory / "images"
    images.mkdir()
    source = write_random(images / "disk.raw", SIZE)
    settled = time.time() - 60
    os.utime(source, (settled, settled))
    return source


def key_file(directory: Path, key: str) -> Path:
    """Write a key as a node keeps it."""
    path = directory / f"{key[-8:]}.key"
    path.write_text(key)
    path.chmod(0o600)
    return path


async def register(running: Deployment) -> tuple[str, str]:
    """Register the seeder and the agent; returns their keys."""
    seeder = NodeDescription(name="seeder", addresses=[SEEDER], may_publish=True)
    agent = NodeDescription(name="agent", addresses=[f"127.0.0.{10 + AGENT}"])
    return (await running.api.add_node(seeder)).key, (await running.api.add_node(agent)).key


def test_registered_nodes_share_an_image_and_no_log_has_their_keys(tmp_path: Path) -> None:
    """The seeder publishes, the agent fetches; who has no key gets nothing."""
    source = with_image(tmp_path)
    conf = tmp_path / "tracker.conf"
    conf.write_text(f"[tracker]\noperator_token = {TOKEN}\n")

    async def scenario() -> tuple[str, ...]:
        async with deployment(tmp_path, "--config-file", str(conf)) as running:
            running.api = TrackerClient(running.tracker.url, token=TOKEN)
            async with running.api:
                keys = await register(running)
                files = [key_file(tmp_path, key) for key in keys]
                await running.start_seeder(
                    conf=f"directory = {source.parent}\n[swarm]\nnode_key_file = {files[0]}\n"
                )
                image = await running.published("disk.raw")
                agent = await running.start_agent(
                    AGENT, conf=f"[swarm]\nnode_key_file = {files[1]}\n"
                )
                # The registered agent's key does not help at another address.
                stranger = await running.start_agent(
                    STRANGER, conf=f"[swarm]\nnode_key_file = {files[1]}\n"
                )
                target = running.target(AGENT, "disk")
                done = await fetch(agent, to_file(target, image.id))
                assert done.state is TransferState.COMPLETE, done
                assert target.read_bytes() == source.read_bytes()
                wish = to_file(running.target(STRANGER, "disk"), image.id)
                refused = await fetch(stranger, wish, seconds=10)
                assert refused.failure is not None, refused
                assert refused.failure.code == "forbidden"
                assert not running.target(STRANGER, "disk").exists()
        return keys

    keys = asyncio.run(scenario())
    logs = {path.name: path.read_text() for path in tmp_path.glob("*.log")}
    assert len(logs) == 4
    for name, text in logs.items():
        assert text, "the premise: something is logged"
        assert not any(key in text for key in (*keys, TOKEN)), name
