"""How many swarm memberships does the control channel keep alive per second and core?

Every node says "as before" once a second, and the tracker's interval is one second, so that each of
those reports has all memberships of its node told to the store of swarms again. Beside it, the
worst case: each report repeats all that its node holds.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from benchmarks.tracker import channel_load
from benchmarks.tracker.subject import Subject, subject

if TYPE_CHECKING:
    from benchmarks.tracker.channel_load import Channel

NODES = 3000
TORRENTS_PER_NODE = 50
TORRENTS = 500
_CONF = "announce_interval = 1\nmin_announce_interval = 1\n"
_AS_BEFORE = b'{"type":"report"}'
#: Before it is measured: everybody has joined, and the rhythm is found.
_WARM_UP_SECONDS = 3.0


async def measure(*, seconds: float, nodes: int = NODES) -> dict[str, Any]:
    """Return memberships refreshed per second of the tracker's processor time, both ways."""
    async with subject(torrents=TORRENTS, conf=_CONF) as tracker:
        channels = await channel_load.connect_many(nodes, tracker.port, lambda *_: None)
        full = [_full(tracker.hashes, number) for number in range(nodes)]
        for channel, report in zip(channels, full, strict=True):
            channel.send(report)
            await asyncio.sleep(0)
        await tracker.settled(nodes * TORRENTS_PER_NODE)
        return {
            "nodes": nodes,
            "torrents_per_node": TORRENTS_PER_NODE,
            "as_before": await _refresh(tracker, channels, [_AS_BEFORE] * nodes, seconds),
            "all_again": await _refresh(tracker, channels[: nodes // 3], full, seconds),
        }


def _full(hashes: list[bytes], number: int) -> bytes:
    keys = [hashes[(number * 7 + i * 11) % len(hashes)] for i in range(TORRENTS_PER_NODE)]
    words = ",".join(f'"{key.hex()}":0' for key in keys)
    return f'{{"type":"report","full":true,"torrents":{{{words}}}}}'.encode()


async def _refresh(
    tracker: Subject, channels: list[Channel], reports: list[bytes], seconds: float
) -> dict[str, float]:
    start, measured_from = time.perf_counter(), None
    cpu, said = 0.0, 0
    for second in range(round(_WARM_UP_SECONDS + seconds)):
        if measured_from is None and second >= _WARM_UP_SECONDS:
            cpu, measured_from, said = tracker.cpu_seconds(), time.perf_counter(), 0
        for number, channel in enumerate(channels):
            channel.send(reports[number])
            said += 1
            ahead = second + number / len(channels) - (time.perf_counter() - start)
            if ahead > 0:
                await asyncio.sleep(ahead)
    took = time.perf_counter() - (measured_from or start)
    used = tracker.cpu_seconds() - cpu
    refreshed = said * TORRENTS_PER_NODE
    return {
        "memberships_per_second": refreshed / took,
        "cpu_share": used / took,
        "memberships_per_cpu_second": refreshed / used,
    }
