"""A real tracker, a real seeding engine and real agents in one event loop, on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from peer.transfers.delivery import DeliverySettings
from peer.transfers.runner import Runner, RunnerSettings
from peer.transfers.store import Store
from swarm import options
from swarm.engine import Engine, EngineSettings
from swarm.fleet import free_port
from swarm.messages import ImageDescription, TransferRequest, Variant
from swarm.tracker_client import TrackerClient
from tests.images import IMAGE_ID, torrent_of, write_random
from tracker import app as tracker_app
from tracker import options as tracker_options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from swarm.engine import Torrent
    from swarm.metainfo import Metainfo

SEEDER_ADDRESS = "127.0.0.2"
AGENT_ADDRESS = "127.0.0.3"


@contextlib.asynccontextmanager
async def tracker_at(directory: Path) -> AsyncIterator[TrackerClient]:
    """Run a tracker while the block runs; yields a client of it."""
    port = free_port("127.0.0.1")
    conf = options.load(
        tracker_options.list_opts(),
        overrides=[
            ("tracker", "state_dir", str(directory / "tracker")),
            ("tracker", "listen_port", port),
            ("tracker", "announce_interval", 5),
        ],
    )
    stop = asyncio.Event()
    task = asyncio.create_task(tracker_app.serve(conf, stop))
    try:
        async with TrackerClient(f"http://127.0.0.1:{port}") as client:
            while True:
                if task.done():
                    task.result()
                with contextlib.suppress(Exception):
                    await client.call("GET", "/healthz")
                    break
                await asyncio.sleep(0.02)
            yield client
    finally:
        stop.set()
        await task


@dataclass
class Image:
    """An image that is published and seeded."""

    path: Path
    torrent: Metainfo
    #: The seeder's.
    seed: Torrent


async def publish(tracker: TrackerClient, path: Path, *, image_id: str = IMAGE_ID) -> Metainfo:
    """Publish the file at ``path`` as an image; nobody seeds it yet."""
    torrent = torrent_of(path, image_id=image_id)
    sha512 = hashlib.sha512(path.read_bytes()).hexdigest()
    await tracker.register_image(
        ImageDescription(
            id=image_id,
            name=path.name,
            size=torrent.size,
            disk_format="raw",
            os_hash_algo="sha512",
            os_hash_value=sha512,
        )
    )
    await tracker.publish_torrent(
        image_id, Variant.ORIGINAL, torrent.data, hash_algo="sha512", hash_value=sha512
    )
    return torrent


@contextlib.asynccontextmanager
async def seeded(
    tracker: TrackerClient, directory: Path, *, size: int = 3_000_000, upload_limit: int = 0
) -> AsyncIterator[Image]:
    """Publish and seed an image of random bytes while the block runs."""
    path = write_random(directory / "image.raw", size)
    torrent = await publish(tracker, path)
    settings = EngineSettings(
        listen_address=SEEDER_ADDRESS, listen_port=0, upload_limit=upload_limit
    )
    async with Engine(settings) as engine:
        seed = await engine.add(torrent, path, announce_url=tracker.announce_url, have_all=True)
        yield Image(path, torrent, seed)


@dataclass
class Agent:
    """An agent without its API."""

    runner: Runner
    engine: Engine
    root: Path

    def request(self, name: str = "disk", **members: str) -> TransferRequest:
        """Return a request for the image, to a file of that name."""
        return TransferRequest.model_validate(
            {"image_id": IMAGE_ID, "destination_url": f"file://{self.root / name}", **members}
        )

    def parts(self) -> list[str]:
        """Return the names of what lies in the root and is not final."""
        return sorted(path.name for path in self.root.iterdir() if path.name.endswith(".part"))


@contextlib.asynccontextmanager
async def agent_at(
    directory: Path,
    tracker: TrackerClient,
    *,
    max_active: int = 4,
    max_queued: int = 10,
    prepare_timeout: float = 20.0,
    stall_timeout: float = 30.0,
) -> AsyncIterator[Agent]:
    """Run an agent while the block runs; its state is in ``directory``, its root beside it."""
    root = directory / "root"
    root.mkdir(exist_ok=True)
    settings = EngineSettings(listen_address=AGENT_ADDRESS, listen_port=0)
    async with Store(directory / "transfers.sqlite") as store, Engine(settings) as engine:
        runner = Runner(
            store=store,
            engine=engine,
            tracker=tracker,
            settings=RunnerSettings(max_active=max_active, max_queued=max_queued),
            delivery=DeliverySettings(
                roots=[str(root)],
                resume_interval=0.2,
                prepare_timeout=prepare_timeout,
                stall_timeout=stall_timeout,
            ),
        )
        await runner.start()
        try:
            yield Agent(runner, engine, root)
        finally:
            await runner.stop()
