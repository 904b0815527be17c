"""Two tracker processes on one Redis and one registry, behind a round robin; one is killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import pytest

from swarm.agent_client import AgentClient
from swarm.fleet import Fleet, Role
from swarm.messages import TransferState
from swarm.tracker_client import TrackerClient
from tests.databases import replica_database
from tests.images import write_random
from tests.integration.deployment import Deployment, to_file
from tests.integration.round_robin import RoundRobin, round_robin
from tests.redis_service import redis_service
from tests.unit.tracker import lab
from tests.waiting import until_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(240)

MIB = 1 << 20
SIZE = 32 * MIB + 99
AGENTS = (1, 2, 3)


class Pair(NamedTuple):
    """Two replicas and what is before them."""

    running: Deployment
    replicas: tuple[Role, Role]
    balancer: RoundRobin


@contextlib.asynccontextmanager
async def pair(directory: Path, redis_url: str, database_url: str) -> AsyncIterator[Pair]:
    """Run two replicas that are started at the same moment on an empty database."""
    conf = directory / "tracker.conf"
    conf.write_text(
        f"[tracker]\nswarms_url = {redis_url}\ndatabase_url = {database_url}\n"
        "announce_interval = 3\nmin_announce_interval = 1\n"
    )
    async with Fleet(directory) as fleet:
        options = ("--config-file", str(conf))
        starts = (fleet.start_tracker(*options, name=f"replica-{name}") for name in "ab")
        replicas = await asyncio.gather(*starts)
        back_ends = [("127.0.0.1", urlsplit(replica.url).port or 0) for replica in replicas]
        async with round_robin(back_ends) as (url, balancer):
            front = Role("front", url, replicas[0].process, replicas[0].log)
            running = Deployment(fleet, front)
            async with running.api:
                yield Pair(running, (replicas[0], replicas[1]), balancer)
                await fleet.stop()


def with_image(directory: Path) -> Path:
    """Make one image for a seeder to find."""
    images = directory / "images"
    images.mkdir()
    source = write_random(images / "disk.raw", SIZE)
    settled = time.time() - 60
    os.utime(source, (settled, settled))
    return source


async def sizes(replicas: tuple[Role, ...], announce_hash: bytes) -> set[tuple[int, int]]:
    """Return how many are complete and incomplete, in the words of each replica."""
    found = set()
    for replica in replicas:
        async with TrackerClient(replica.url) as client:
            target = f"/scrape?info_hash={lab.quoted(announce_hash)}"
            counts = (await lab.get(client, target))[b"files"][announce_hash]
            found.add((counts[b"complete"], counts[b"incomplete"]))
    return found


def test_a_swarm_outlives_one_of_two_replicas(tmp_path: Path) -> None:
    """Formed half here, half there, one of them killed in mid-transfer: everybody completes."""
    source = with_image(tmp_path)
    conf = f"directory = {source.parent}\n[engine]\nupload_limit = {6 * MIB}\n"

    async def scene(running: Deployment, replicas: tuple[Role, Role], balancer: RoundRobin) -> None:
        await running.start_seeder(conf=conf)
        image = await running.published("disk.raw")
        announce_hash = bytes.fromhex(image.variants[0].info_hash or "")[:20]
        agents = await asyncio.gather(*(running.start_agent(number) for number in AGENTS))
        async with contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(AgentClient(a.url)) for a in agents]
            wishes = [to_file(running.target(number, "disk"), image.id) for number in AGENTS]
            first = [await c.create_transfer(w) for c, w in zip(clients[:2], wishes, strict=False)]

            async def is_formed() -> bool:
                return await sizes(replicas, announce_hash) == {(1, 2)}

            await until_async(is_formed, what="one swarm at both replicas")
            assert len(balancer.given) == 2, "the premise: both were spoken to"
            await replicas[0].kill()
            before = [await c.show_transfer(t.id) for c, t in zip(clients, first, strict=False)]
            assert all(t.state is TransferState.DOWNLOADING for t in before), before

            # Whom this one meets it can know only from what was said to the killed one too.
            last = await clients[2].create_transfer(wishes[2])
            for client, transfer in zip(clients, [*first, last], strict=True):
                ended = await client.show_transfer(transfer.id, wait_seconds=60)
                assert ended.state is TransferState.COMPLETE, (ended.state, ended.progress)
        for number in AGENTS:
            assert running.target(number, "disk").read_bytes() == source.read_bytes()

        async def is_complete() -> bool:
            return await sizes(replicas[1:], announce_hash) == {(4, 0)}

        await until_async(is_complete, what="everybody is known as complete")

    async def run(redis_url: str, database_url: str) -> None:
        async with pair(tmp_path, redis_url, database_url) as (running, replicas, balancer):
            await scene(running, replicas, balancer)

    with redis_service(tmp_path) as redis, replica_database(tmp_path) as database_url:
        asyncio.run(run(redis.url, database_url))
