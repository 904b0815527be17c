"""How long does a node wait for its handout when two thousand join one swarm within a second?

Over the control channel, which is open already, and over HTTP, where each connects first.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from typing import TYPE_CHECKING, Any

from benchmarks.tracker import channel_load
from benchmarks.tracker.subject import Subject, subject

if TYPE_CHECKING:
    from benchmarks.tracker.channel_load import Channel

NODES = 2000
SECONDS = 1.0
_PATIENCE_SECONDS = 30.0


async def measure() -> dict[str, Any]:
    """Return the figures of one run of each kind."""
    async with subject(torrents=1) as tracker:
        over_channel = await _over_channel(tracker)
    async with subject(torrents=1) as tracker:
        over_http = await _over_http(tracker)
    return {"nodes": NODES, "within_seconds": SECONDS, "channel": over_channel, "http": over_http}


def _summary(waits: list[float], lost: int) -> dict[str, float]:
    waits = sorted(waits)
    return {
        "median_ms": 1000 * statistics.median(waits),
        "p99_ms": 1000 * waits[int(0.99 * len(waits))],
        "max_ms": 1000 * waits[-1],
        "lost": lost,
    }


async def _over_channel(tracker: Subject) -> dict[str, float]:
    asked: dict[Channel, float] = {}
    answered: dict[Channel, float] = {}

    def hear(channel: Channel, message: bytes) -> None:
        if channel in asked and b'"peers":{"' in message:
            answered.setdefault(channel, time.perf_counter())

    channels = await channel_load.connect_many(NODES, tracker.port, hear)
    report = b'{"type":"report","torrents":{"%s":1}}' % tracker.hashes[0].hex().encode()

    async def join(channel: Channel) -> None:
        await asyncio.sleep(random.random() * SECONDS)  # noqa: S311 - load
        asked[channel] = time.perf_counter()
        channel.send(report)

    await asyncio.gather(*(join(channel) for channel in channels))
    end = time.perf_counter() + _PATIENCE_SECONDS
    while len(answered) < NODES and time.perf_counter() < end:
        await asyncio.sleep(0.05)
    for channel in channels:
        channel.close()
    return _summary([at - asked[c] for c, at in answered.items()], NODES - len(answered))


async def _over_http(tracker: Subject) -> dict[str, float]:
    info_hash = "".join(f"%{byte:02x}" for byte in tracker.hashes[0])
    waits: list[float] = []

    async def join(number: int) -> None:
        await asyncio.sleep(random.random() * SECONDS)  # noqa: S311 - load
        start = time.perf_counter()
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", tracker.port, local_addr=(channel_load.address(number), 0)
        )
        query = f"info_hash={info_hash}&peer_id=-XX0001-{number:012}&port=6881"
        writer.write(
            f"GET /announce?{query}&uploaded=0&downloaded=0&left=1&compact=1 HTTP/1.1\r\n"
            "Host: tracker\r\nConnection: close\r\n\r\n".encode()
        )
        answer = await reader.read()
        writer.close()
        if b"8:interval" in answer:
            waits.append(time.perf_counter() - start)

    joins = [asyncio.ensure_future(join(number)) for number in range(NODES)]
    await asyncio.wait(joins, timeout=SECONDS + _PATIENCE_SECONDS)
    return _summary(waits, NODES - len(waits))
