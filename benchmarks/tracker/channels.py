"""What do ten thousand nodes with fifty torrents each cost, all on the control channel?

The tracker is watched while the nodes connect, while they say what they hold, and while they stay:
each says "as before" every ten seconds, one in a hundred of them changes something, and nobody is
forgotten. What it costs to keep the memberships alive is compared with announces: a membership that
is refreshed is an announce that nobody had to send.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

from benchmarks.tracker import channel_load
from benchmarks.tracker.subject import Subject, subject
from swarm.endings import running

if TYPE_CHECKING:
    from benchmarks.tracker.channel_load import Channel

NODES = 10_000
TORRENTS_PER_NODE = 50
TORRENTS = 500
REPORT_SECONDS = 10.0
_LOOK_SECONDS = 10.0
#: One report in so many changes something.
_CHANGES = 100


async def measure(*, seconds: float, nodes: int = NODES) -> dict[str, Any]:
    """Return the figures of one run that stays for ``seconds``."""
    async with subject(torrents=TORRENTS) as tracker:
        empty = tracker.memory_bytes()
        channels = await channel_load.connect_many(nodes, tracker.port, lambda *_: None)
        connected = tracker.memory_bytes()
        cpu, start = tracker.cpu_seconds(), time.perf_counter()
        held = [await _say_all(c, tracker.hashes, number) for number, c in enumerate(channels)]
        async with running(_talk(channels, held), name="load"):
            await tracker.settled(nodes * TORRENTS_PER_NODE)
            joined = {
                "seconds": time.perf_counter() - start,
                "cpu_seconds": tracker.cpu_seconds() - cpu,
                "memory_mib": tracker.memory_bytes() / 2**20,
            }
            looks = await _stay(tracker, seconds)
        present = await tracker.memberships()
        lost = sum(channel.is_closed for channel in channels)
        for channel in channels:
            channel.close()
    after_a_minute = looks[round(60 / _LOOK_SECONDS) :] or looks
    busy = [look["cpu_share"] for look in after_a_minute]
    memory = [look["memory_mib"] for look in after_a_minute]
    return {
        "nodes": nodes,
        "torrents_per_node": TORRENTS_PER_NODE,
        "memory_mib_before": empty / 2**20,
        "memory_mib_connected": connected / 2**20,
        "memory_kib_per_channel": (connected - empty) / 1024 / nodes,
        "joining": joined,
        "staying": looks,
        "cpu_share_after_a_minute": sum(busy) / len(busy),
        "most_cpu_share_after_a_minute": max(busy),
        "memory_mib_after_a_minute": memory[0],
        "memory_mib_at_the_end": memory[-1],
        "memberships": present,
        "channels_lost": lost,
    }


async def _say_all(channel: Channel, hashes: list[bytes], number: int) -> list[bytes]:
    """Say what a node holds: complete, all but one torrent."""
    chosen = random.Random(number).sample(hashes, TORRENTS_PER_NODE)  # noqa: S311 - load
    words = ",".join(f'"{key.hex()}":{int(not i)}' for i, key in enumerate(chosen))
    channel.send(f'{{"type":"report","full":true,"torrents":{{{words}}}}}'.encode())
    await asyncio.sleep(0)
    return chosen


async def _stay(tracker: Subject, seconds: float) -> list[dict[str, float]]:
    looks = []
    for _ in range(round(seconds / _LOOK_SECONDS)):
        cpu, start = tracker.cpu_seconds(), time.perf_counter()
        await asyncio.sleep(_LOOK_SECONDS)
        share = (tracker.cpu_seconds() - cpu) / (time.perf_counter() - start)
        looks.append({"cpu_share": share, "memory_mib": tracker.memory_bytes() / 2**20})
    return looks


async def _talk(channels: list[Channel], held: list[list[bytes]]) -> None:
    """Have each node speak once in ten seconds, one after the other."""
    source, as_before = random.Random(7), b'{"type":"report"}'  # noqa: S311 - load
    start, said = time.perf_counter(), 0
    while True:
        number = said % len(channels)
        words = as_before
        if not source.randrange(_CHANGES):
            key = held[number][source.randrange(1, TORRENTS_PER_NODE)].hex()
            left = source.randrange(2)
            words = f'{{"type":"report","torrents":{{"{key}":{left}}}}}'.encode()
        channels[number].send(words)
        said += 1
        ahead = said * REPORT_SECONDS / len(channels) - (time.perf_counter() - start)
        if ahead > 0:
            await asyncio.sleep(ahead)
