"""A whole tracker in the test's own loop: real HTTP on a free loopback port, a real SQLite file."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from swarm import bencode, metainfo, options
from swarm.deadline import within
from swarm.hashing import ContentHasher
from swarm.messages import Convert, ImageDescription, Refusal, Variant
from swarm.torrent_version import TorrentVersion
from swarm.tracker_client import TrackerClient
from tracker import app
from tracker.options import list_opts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from oslo_config import cfg

IMAGE = "6f1d9d2e-5c1a-4c53-9d1e-0a4b3b6f8c11"
OTHER = "00000000-0000-4000-8000-000000000001"
BYTES = b"an image of a few bytes" * 4096


class Clock:
    """A clock that the test turns."""

    now = 1000.0

    def __call__(self) -> float:
        """Return what the test set it to."""
        return self.now


def configuration(state_dir: Path, **values: object) -> cfg.ConfigOpts:
    """Return the tracker's configuration on a free port, with ``values`` in [tracker]."""
    chosen = {"listen_port": 0, "state_dir": str(state_dir), **values}
    return options.load(list_opts(), overrides=[("tracker", k, v) for k, v in chosen.items()])


@contextlib.asynccontextmanager
async def tracker_at(state_dir: Path, **values: object) -> AsyncIterator[TrackerClient]:
    """Run a tracker during the block; yields a client of it."""
    conf = configuration(state_dir, **values)
    async with app.running(conf) as urls, TrackerClient(urls[0]) as client:
        yield client


@contextlib.asynccontextmanager
async def stoppable_tracker(
    state_dir: Path,
) -> AsyncIterator[tuple[TrackerClient, Callable[[], Awaitable[None]]]]:
    """Run a tracker; yields a client, and a function that stops it and returns when it has."""
    stack = contextlib.AsyncExitStack()
    async with stack:
        urls = await stack.enter_async_context(app.running(configuration(state_dir)))
        async with TrackerClient(urls[0]) as client:
            yield client, stack.aclose


def describe(image_id: str = IMAGE, **changes: Any) -> ImageDescription:  # noqa: ANN401 - members
    """Return the description of an image whose bytes are BYTES."""
    members = {
        "id": image_id,
        "name": "debian-12",
        "size": len(BYTES),
        "disk_format": "qcow2",
        "os_hash_algo": "sha512",
        "os_hash_value": hashlib.sha512(BYTES).hexdigest(),
    }
    return ImageDescription.model_validate({**members, **changes})


def torrent(
    data: bytes = BYTES,
    image_id: str = IMAGE,
    variant: Variant = Variant.ORIGINAL,
    version: TorrentVersion = TorrentVersion.V2,
) -> metainfo.Metainfo:
    """Return the torrent of ``data``."""
    length = metainfo.piece_length(len(data))
    with ContentHasher(len(data), length, version=version) as hasher:
        hasher.update(data)
        return metainfo.build(image_id, variant, hasher.finish())


async def publish(
    client: TrackerClient,
    data: bytes = BYTES,
    image_id: str = IMAGE,
    variant: Variant = Variant.ORIGINAL,
    version: TorrentVersion = TorrentVersion.V2,
) -> metainfo.Metainfo:
    """Publish the torrent of ``data`` for an image that is registered."""
    made = torrent(data, image_id, variant, version)
    digest = hashlib.sha512(data).hexdigest()
    await client.publish_torrent(
        image_id, variant, made.data, hash_algo="sha512", hash_value=digest
    )
    return made


def quoted(value: bytes) -> str:
    """Return ``value`` with every byte percent-encoded."""
    return "".join(f"%{byte:02x}" for byte in value)


async def get(client: TrackerClient, target: str, *, source: str = "127.0.0.1") -> Any:  # noqa: ANN401 - bencode
    """GET ``target`` from the loopback address ``source`` and return the decoded answer."""
    connector = aiohttp.TCPConnector(local_addr=(source, 0))
    url = URL(client.url + target, encoded=True)
    async with aiohttp.ClientSession(connector=connector) as session, session.get(url) as response:
        assert (response.status, response.content_type) == (200, "text/plain")
        return bencode.decode(await response.read())


async def announce(
    client: TrackerClient,
    info_hash: bytes,
    *,
    port: int,
    source: str = "127.0.0.1",
    **keys: object,
) -> Any:  # noqa: ANN401 - bencode
    """Announce as a peer at ``source`` and ``port``, whose peer id is made of both."""
    peer_id = hashlib.sha1(f"{source}:{port}".encode(), usedforsecurity=False).digest()
    values = {"peer_id": quoted(peer_id), "uploaded": 0, "downloaded": 0, "left": 1, **keys}
    rest = "".join(f"&{key}={value}" for key, value in values.items())
    target = f"/announce?info_hash={quoted(info_hash)}&port={port}{rest}"
    return await get(client, target, source=source)


def addresses(answer: dict[bytes, bytes]) -> set[tuple[str, int]]:
    """Return the IPv4 peers of an answer."""
    data = answer[b"peers"]
    entries = [data[i : i + 6] for i in range(0, len(data), 6)]
    return {(".".join(map(str, e[:4])), int.from_bytes(e[4:], "big")) for e in entries}


@dataclass
class FakeSeeder:
    """A seeder's side of the control channel through the real client; its answer is scripted."""

    refuse_with: str | None = None
    on_demand: Callable[[Convert], Any] | None = None
    is_connected: asyncio.Event = field(default_factory=asyncio.Event)
    demands: list[Convert] = field(default_factory=list)

    async def convert(self, demand: Convert) -> Refusal | None:
        """Take down a demand, and answer as scripted."""
        self.demands.append(demand)
        if self.on_demand is not None:
            await self.on_demand(demand)
        if self.refuse_with is None:
            return None
        return Refusal(
            image_id=demand.image_id,
            variant=demand.variant,
            code=self.refuse_with,
            detail="the seeder says no",
        )


@contextlib.asynccontextmanager
async def connected(
    client: TrackerClient, seeder: FakeSeeder, *, node: str = "seeder-1"
) -> AsyncIterator[FakeSeeder]:
    """Keep ``seeder`` on the control channel during the block."""
    task = asyncio.create_task(
        client.serve_demands(node, seeder.convert, on_connect=seeder.is_connected.set)
    )
    try:
        await within(10, seeder.is_connected.wait())
        yield seeder
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
