"""A swarm of a BitTorrent program of other people's, one on every host, around opentracker.

All are given the same: a private v1 torrent with pieces as long as ours, whose tracker tells
everybody of everybody, at once; no limit of rate; a running program on each host before the clock
starts. What they do with it - slots, choking, encryption, uTP, queues, caches, disk allocation - is
as the program comes, but for what each file here says: ports, directories, and that nobody stops
to seed or waits in a queue of torrents.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Protocol

from benchmarks.contestants import torrent as torrents
from benchmarks.contestants.former import Fetches
from benchmarks.contestants.opentracker import opentracker
from swarm.deadline import within
from swarm.errors import RoleFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from benchmarks.contestants.opentracker import OpenTracker
    from benchmarks.contestants.torrent import Torrent
    from benchmarks.lab.image import Image
    from benchmarks.lab.lab import Lab
    from benchmarks.lab.plan import Host

_LOOK_SECONDS = 0.05
_CHECK_SECONDS = 120.0


class Client(Protocol):
    """One program on one host, driven as its user would; each raises ``RoleFailed`` if it can't."""

    async def add(self, torrent: Torrent, directory: Path) -> None:
        """Have it bring a torrent's file to a directory, and seed it; or seed what is there."""

    async def is_complete(self, torrent: Torrent) -> bool:
        """Return whether it says that it has the whole file, every piece checked."""

    async def remove(self, torrent: Torrent) -> None:
        """Have it forget a torrent; the file stays."""


class Start(Protocol):
    """Runs the program on a host during the block, with ``role`` as what it is counted as."""

    def __call__(self, lab: Lab, host: Host, role: str) -> AbstractAsyncContextManager[Client]:
        """Return the block; it has begun once the program can be given torrents."""


class Swarm:
    """The program at the source and at every host."""

    def __init__(
        self, lab: Lab, tracker: OpenTracker, source: Client, clients: Mapping[str, Client]
    ) -> None:
        self._lab = lab
        self._tracker = tracker
        self._source = source
        self._clients = clients
        self._torrents: dict[str, Torrent] = {}
        self._fetches = Fetches()

    async def offer(self, image: Image) -> None:
        """Have the source seed it: checked by itself, known to the tracker."""
        for former in self._fetches.take_former():
            await self._remove(former)
        url = self._tracker.announce_url
        torrent = await asyncio.to_thread(torrents.make, image, url, self._lab.directory)
        self._torrents[image.id] = torrent
        await self._tracker.serve(self._torrents.values())
        await self._source.add(torrent, self._lab.images)
        try:
            await within(_CHECK_SECONDS, _completed(self._source, torrent))
        except asyncio.TimeoutError:
            raise RoleFailed(f"the source does not seed {image.path} that is there") from None
        await self._tracker.has_seeder(torrent)

    async def fetch(self, image: Image, host: Host) -> Path:
        """Add the torrent to a host's program, and wait until it says that it has the file."""
        torrent, client = self._torrents[image.id], self._clients[host.name]
        with self._fetches.of(image):
            await client.add(torrent, self._lab.root(host))
            await _completed(client, torrent)
        return self._lab.root(host) / torrent.name

    async def _remove(self, image: Image) -> None:
        """Have everybody forget an image, and remove it from the hosts."""
        torrent = self._torrents.pop(image.id)
        everybody = (*self._clients.values(), self._source)
        await asyncio.gather(*(client.remove(torrent) for client in everybody))
        for host in self._lab.hosts:
            (self._lab.root(host) / torrent.name).unlink(missing_ok=True)


async def _completed(client: Client, torrent: Torrent) -> None:
    while not await client.is_complete(torrent):
        await asyncio.sleep(_LOOK_SECONDS)


@contextlib.asynccontextmanager
async def swarm_of(lab: Lab, start: Start) -> AsyncIterator[Swarm]:
    """Run a tracker, and the program on every host, during the block."""
    async with contextlib.AsyncExitStack() as programs:
        tracker = await programs.enter_async_context(opentracker(lab))
        source = await programs.enter_async_context(start(lab, lab.plan.source, "seeder"))
        clients = {}
        for host in lab.hosts:
            clients[host.name] = await programs.enter_async_context(start(lab, host, "agent"))
        yield Swarm(lab, tracker, source, clients)
