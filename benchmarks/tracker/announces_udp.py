"""How many UDP announces are answered per second, ours and opentracker's?

64 peers, each at an address of its own and four of them complete, announce 1000 torrents again and
again, and get 50 peers each time. Everybody has announced everything once before it is measured.

Caveats. Everything is on loopback, and the core of the load and that of the tracker may be two
threads of one: look at the ratios, and at those by processor time if other programs were running.
opentracker is Debian's build as it comes; it reads and sends one packet in each call. Ours has no
keys and no racks here: the announce of a peer that is new or has changed takes half as long again,
and one in a swarm of eight racks, of each of which some are drawn, five times as long. Four
announces of each peer are in flight, so its answers often leave in one piece, as those of a node
with many torrents do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.tracker.pairs import Contestant, compare, timed

if TYPE_CHECKING:
    from benchmarks.tracker.loads import Loads

#: Announces in flight: four of each peer. With many more opentracker, whose receive buffer is the
#: system's default, begins to lose some.
WINDOW = 256


async def measure(*, seconds: float, repeats: int) -> dict[str, Any]:
    """Return the figures of ``repeats`` pairs of runs of ``seconds`` each."""

    async def load(tools: Loads, tracker: Contestant) -> dict[str, Any]:
        await tools.fill(tracker.port)
        return await timed(tracker, tools.udp(tracker.port, seconds=seconds, window=WINDOW))

    return {"window": WINDOW, **await compare(load, repeats=repeats)}
