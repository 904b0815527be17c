"""A whole tracker in the test's own loop: real HTTP on a free loopback port, a real SQLite file."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import aiohttp
from aiohttp import web
from yarl import URL

from swarm import bencode, endpoints, metainfo, options
from swarm.control_client import ControlClient
from swarm.control_messages import Hello, Update
from swarm.deadline import within
from swarm.hashing import ContentHasher
from swarm.messages import Convert, ImageDescription, Refusal, Variant
from swarm.torrent_version import TorrentVersion
from swarm.tracker_client import TrackerClient
from swarm.web import server
from tracker import app
from tracker.announce.announce import Announcer, Terms
from tracker.announce.http import AnnounceHttp
from tracker.handout.uniform import Uniform
from tracker.options import list_opts
from tracker.swarms.memory import MemorySwarms

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


@contextlib.asynccontextmanager
async def announce_tracker(port: int, announce_hash: bytes) -> AsyncIterator[None]:
    """Serve announces for one torrent at ``port``, and nothing else."""
    swarms = MemorySwarms(lifetime_seconds=60)
    swarms.open(announce_hash)
    application = web.Application()
    announcer = Announcer(swarms, Terms(5, 1, 50, 100), policy=Uniform())
    AnnounceHttp(announcer).add_to(application.router)
    async with server.serving(application, address="127.0.0.1", port=port):
        yield


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
class FakeNode:
    """A node's side of the control channel through the real client; what it does is scripted."""

    refuse_with: str | None = None
    on_demand: Callable[[Convert], Any] | None = None
    held: dict[bytes, int] = field(default_factory=dict)
    is_connected: asyncio.Event = field(default_factory=asyncio.Event)
    demands: list[Convert] = field(default_factory=list)
    #: What was heard so far, all updates put together.
    peers: dict[bytes, set[tuple[str, int]]] = field(default_factory=dict)
    slices: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    parted: dict[bytes, set[tuple[str, int]]] = field(default_factory=dict)
    withdrawn: set[bytes] = field(default_factory=set)
    blocked: set[str] = field(default_factory=set)
    #: When each peer was heard of, by torrent, on the loop's clock.
    heard_at: dict[tuple[bytes, tuple[str, int]], float] = field(default_factory=dict)
    #: Says changes; set while the node is connected.
    client: ControlClient | None = None

    def have(self, announce_hash: bytes, left: int) -> None:
        """Hold a torrent from now on, lacking ``left`` bytes."""
        self.held[announce_hash] = left
        assert self.client is not None
        self.client.have(announce_hash, left)

    def leave(self, announce_hash: bytes) -> None:
        """Hold a torrent no more."""
        del self.held[announce_hash]
        assert self.client is not None
        self.client.leave(announce_hash)

    def holdings(self) -> dict[bytes, int]:
        """Return what it holds."""
        return self.held

    def connected(self, blocked: tuple[str, ...]) -> None:
        """Note that the channel is up."""
        self.blocked = set(blocked)
        self.is_connected.set()

    def disconnected(self) -> None:
        """Note that the channel is down."""
        self.is_connected.clear()

    def updated(self, update: Update) -> None:
        """Take down what is told."""
        now = asyncio.get_running_loop().time()
        for name, peers in update.peers.items():
            for peer in spelt_all(peers):
                self.peers.setdefault(bytes.fromhex(name), set()).add(peer)
                self.heard_at.setdefault((bytes.fromhex(name), peer), now)
        for name, peers in update.left.items():
            self.parted.setdefault(bytes.fromhex(name), set()).update(spelt_all(peers))
        for name, slice_ in update.slices.items():
            self.slices[bytes.fromhex(name)] = (slice_.k, slice_.n)
        self.withdrawn |= {bytes.fromhex(name) for name in update.withdrawn}
        self.blocked = (self.blocked | set(update.block)) - set(update.unblock)

    async def asked(self, demand: Convert) -> Refusal | None:
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


def spelt_all(peers: str) -> set[tuple[str, int]]:
    """Return IPv4 peers as they are sent on the control channel."""
    size = endpoints.COMPACT_IPV4_BYTES
    return {endpoints.spelt(one) for one in endpoints.split(bytes.fromhex(peers), size)}


@contextlib.asynccontextmanager
async def connected(
    client: TrackerClient,
    node: FakeNode,
    *,
    name: str = "seeder-1",
    role: Literal["seeder", "agent"] = "seeder",
    port: int | None = None,
) -> AsyncIterator[FakeNode]:
    """Keep ``node`` on the control channel during the block."""
    node.client = ControlClient(client, Hello(role=role, node=name, port=port), node)
    task = asyncio.create_task(node.client.run())
    try:
        await within(10, node.is_connected.wait())
        yield node
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
