"""What breaks in the middle: an agent is killed, a disk fills up, a tracker restarts."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import pytest

from swarm.agent_client import AgentClient
from swarm.messages import TransferDocument, TransferState
from tests.images import write_random
from tests.integration.deployment import Deployment, deployment, fetch, to_file
from tests.small_disk import small_file_system
from tests.waiting import until_async

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

pytestmark = pytest.mark.timeout(180)

MIB = 1 << 20
SIZE = 48 * MIB + 99


def with_directory(
    directory: Path,
    scene: Callable[[Deployment, Path], Awaitable[None]],
    *,
    upload_limit: int = 0,
) -> None:
    """Run ``scene`` in a deployment whose seeder has one image, ``disk.raw``."""
    images = directory / "images"
    images.mkdir()
    source = write_random(images / "disk.raw", SIZE)
    settled = time.time() - 60
    os.utime(source, (settled, settled))
    conf = f"directory = {images}\n[engine]\nupload_limit = {upload_limit}\n"

    async def run() -> None:
        async with deployment(directory) as running:
            await running.start_seeder(conf=conf)
            await scene(running, source)

    asyncio.run(run())


async def progress_beyond(
    client: AgentClient, transfer: TransferDocument, count: int
) -> TransferDocument:
    """Wait until ``count`` bytes are there, and return the transfer then."""
    seen = [transfer]

    async def is_beyond() -> bool:
        seen[0] = await client.show_transfer(transfer.id)
        assert seen[0].state not in {TransferState.FAILED, TransferState.COMPLETE}, seen[0]
        return seen[0].progress > count

    await until_async(is_beyond, what=f"{count} bytes", seconds=60)
    return seen[0]


def test_a_killed_agent_resumes(tmp_path: Path) -> None:
    """SIGKILL in mid-transfer: the same transfer goes on, and little is fetched twice."""
    resume_interval = 0.5
    rate = 8 * MIB

    async def scene(running: Deployment, source: Path) -> None:
        image = await running.published("disk.raw")
        conf = f"[peer]\nresume_interval = {resume_interval}\n"
        agent = await running.start_agent(1, conf=conf)
        target = running.target(1, "disk")
        async with AgentClient(agent.url) as client:
            transfer = await client.create_transfer(to_file(target, image.id))
            before = await progress_beyond(client, transfer, SIZE // 2)
        await agent.kill()
        assert not target.exists()
        assert len(list(target.parent.iterdir())) == 1  # the part file, and nothing else

        agent = await running.start_agent(1, conf=conf)
        async with AgentClient(agent.url) as client:
            after = await client.show_transfer(transfer.id, wait_seconds=60)
        assert after.state is TransferState.COMPLETE, after
        assert target.read_bytes() == source.read_bytes()
        assert list(target.parent.iterdir()) == [target]
        # At most what arrived since the last save is fetched again, and what was under way.
        missing = SIZE - before.progress
        assert after.downloaded <= missing + (2 * resume_interval + 1) * rate
        assert after.downloaded < 0.8 * SIZE

    with_directory(tmp_path, scene, upload_limit=rate)


def test_a_full_disk_fails_the_transfer(tmp_path: Path) -> None:
    """No room: failed with the reason, nothing under the final name, no space taken."""

    async def scene(running: Deployment, _: Path) -> None:
        image = await running.published("disk.raw")
        with small_file_system(tmp_path / "small", 16 * MIB) as small:
            agent = await running.start_agent(1, root=small)
            transfer = await fetch(agent, to_file(small / "disk", image.id))
            assert transfer.state is TransferState.FAILED
            assert transfer.failure is not None
            assert transfer.failure.code == "no_space"
            assert transfer.failure.remedy
            assert list(small.iterdir()) == []
            await agent.kill()

    with_directory(tmp_path, scene)


def test_a_disk_that_fills_up_fails_the_transfer(tmp_path: Path) -> None:
    """Room at the start, none in the middle: the same, and no partial file."""

    async def scene(running: Deployment, _: Path) -> None:
        image = await running.published("disk.raw")
        with small_file_system(tmp_path / "small", 64 * MIB) as small:
            agent = await running.start_agent(1, root=small)
            async with AgentClient(agent.url) as client:
                transfer = await client.create_transfer(to_file(small / "disk", image.id))
                await progress_beyond(client, transfer, MIB)
                write_random(small / "somebody else's", 40 * MIB)
                ended = await client.show_transfer(transfer.id, wait_seconds=60)
            assert ended.state is TransferState.FAILED, ended
            assert ended.failure is not None
            assert ended.failure.code == "no_space"
            assert [path.name for path in small.iterdir()] == ["somebody else's"]
            await agent.kill()

    with_directory(tmp_path, scene, upload_limit=6 * MIB)


def test_a_restarted_tracker_costs_nothing(tmp_path: Path) -> None:
    """The tracker is killed in mid-transfer and started again, without its database."""

    async def scene(running: Deployment, source: Path) -> None:
        image = await running.published("disk.raw")
        agent = await running.start_agent(1)
        async with AgentClient(agent.url) as client:
            transfer = await client.create_transfer(to_file(running.target(1, "disk"), image.id))
            await progress_beyond(client, transfer, SIZE // 4)
            await running.tracker.kill()
            port = int(running.tracker.url.rpartition(":")[2])
            await running.fleet.start_tracker(port=port, name="second-tracker")
            # The seeder publishes again what the new tracker does not know.
            await running.published("disk.raw")
            ended = await client.show_transfer(transfer.id, wait_seconds=60)
        assert ended.state is TransferState.COMPLETE
        assert running.target(1, "disk").read_bytes() == source.read_bytes()

    with_directory(tmp_path, scene, upload_limit=8 * MIB)
