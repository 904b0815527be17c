"""How soon does an agent learn of a new peer over the control channel?

Two hundred agents join one swarm, one after the other. For each peer that an agent is told of it is
measured how long ago that could first be known: when the later of the two had said that it joins.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import statistics
import time
from typing import TYPE_CHECKING, Any

from benchmarks.tracker import channel_load
from benchmarks.tracker.subject import subject
from swarm import endpoints

if TYPE_CHECKING:
    from benchmarks.tracker.channel_load import Channel

AGENTS = 200
#: The agents join within this time.
SECONDS = 10.0
_SETTLE_SECONDS = 1.0


async def measure() -> dict[str, Any]:
    """Return the figures of one run."""
    said: dict[bytes, float] = {}
    heard: list[tuple[float, bytes, bytes]] = []
    own: dict[Channel, bytes] = {}

    def hear(channel: Channel, message: bytes) -> None:
        now, told = time.perf_counter(), json.loads(message)
        for peers in told.get("peers", {}).values():
            for peer in endpoints.split(bytes.fromhex(peers), endpoints.COMPACT_IPV4_BYTES):
                heard.append((now, own[channel], peer))

    async with subject(torrents=1) as tracker:
        channels = await channel_load.connect_many(AGENTS, tracker.port, hear)
        for number, channel in enumerate(channels):
            own[channel] = endpoints.compact(socket.inet_aton(channel_load.address(number)), 6881)
        report = b'{"type":"report","torrents":{"%s":1}}' % tracker.hashes[0].hex().encode()

        async def join(channel: Channel) -> None:
            await asyncio.sleep(random.random() * SECONDS)  # noqa: S311 - load
            said[own[channel]] = time.perf_counter()
            channel.send(report)

        await asyncio.gather(*(join(channel) for channel in channels))
        await asyncio.sleep(_SETTLE_SECONDS)
        for channel in channels:
            channel.close()
    waits = sorted(1000 * (at - max(said[who], said[peer])) for at, who, peer in heard)
    return {
        "agents": AGENTS,
        "told": len(waits),
        "agents_told": len({who for _, who, _ in heard}),
        "median_ms": statistics.median(waits),
        "p99_ms": waits[int(0.99 * len(waits))],
        "max_ms": waits[-1],
    }
