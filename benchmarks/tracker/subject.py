"""The tracker that is measured: the real command, on one core, with torrents published."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from swarm import metainfo
from swarm.fleet import Fleet, Role
from swarm.hashing import ContentHasher
from swarm.messages import ImageDescription, Variant
from swarm.tracker_client import TrackerClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

#: The tracker's core, and that of the load.
TRACKER_CORE, LOAD_CORE = 0, 1
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_seconds_of(pid: int) -> float:
    """Return the processor time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


@dataclass(frozen=True)
class Subject:
    """A running tracker and the announce hashes of its torrents."""

    role: Role
    hashes: list[bytes]

    @property
    def port(self) -> int:
        """Its port, of TCP and UDP."""
        return int(self.role.url.rpartition(":")[2])

    def cpu_seconds(self) -> float:
        """Return the processor time it has used so far."""
        return cpu_seconds_of(self.role.process.pid)

    def memory_bytes(self) -> int:
        """Return what it holds in memory now (RSS)."""
        pages = Path(f"/proc/{self.role.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    async def memberships(self) -> int:
        """Return how many peers it counts, in all swarms together."""
        async with TrackerClient(self.role.url) as api:
            figures = (await api.call("GET", "/metrics")).decode().splitlines()
        names = ("glance_swarm_tracker_seeders ", "glance_swarm_tracker_leechers ")
        return sum(int(float(line.split()[-1])) for line in figures if line.startswith(names))

    async def settled(self, count: int) -> None:
        """Wait until it counts so many peers."""
        while await self.memberships() < count:
            await asyncio.sleep(0.5)


@contextlib.asynccontextmanager
async def subject(*, torrents: int, conf: str = "") -> AsyncIterator[Subject]:
    """Run a tracker during the block; ``conf`` are lines of its section ``[tracker]``."""
    with tempfile.TemporaryDirectory(prefix="glance-swarm-bench-") as name:
        path = Path(name, "tracker.conf")
        path.write_text(f"[swarm]\nlog_level = WARNING\n[tracker]\n{conf}\n")
        async with Fleet(Path(name)) as fleet:
            role = await fleet.start_tracker("--config-file", str(path))
            os.sched_setaffinity(role.process.pid, {TRACKER_CORE})
            async with TrackerClient(role.url) as api:
                hashes = [await _publish(api, number) for number in range(torrents)]
            yield Subject(role, hashes)


async def _publish(api: TrackerClient, number: int) -> bytes:
    """Publish a torrent of a few bytes; return its announce hash."""
    data, image_id = b"%d" % number, str(uuid.UUID(int=number))
    length = metainfo.piece_length(len(data))
    with ContentHasher(len(data), length) as hasher:
        hasher.update(data)
        made = metainfo.build(image_id, Variant.ORIGINAL, hasher.finish())
    await api.register_image(
        ImageDescription(id=image_id, name=f"image-{number}", size=len(data), disk_format="raw")
    )
    digest = hashlib.sha512(data).hexdigest()
    await api.publish_torrent(
        image_id, Variant.ORIGINAL, made.data, hash_algo="sha512", hash_value=digest
    )
    return made.announce_hash
