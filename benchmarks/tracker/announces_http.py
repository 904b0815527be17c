"""How many HTTP announces are answered per second, ours on kept connections and opentracker's?

opentracker closes each connection after its answer, and is measured so. The swarms are those of the
question on UDP: 1000 torrents of 64 peers, 50 peers in each answer. All requests come from one more
peer.

Caveats. Everything is on loopback, and the core of the load and that of the tracker may be two
threads of one. New connections cost wrk and the kernel as much as opentracker, so its rate is
rather that of the load; beside it stands the rate by the tracker's own processor time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.tracker.pairs import Contestant, compare, timed

if TYPE_CHECKING:
    from benchmarks.tracker.loads import Loads

CONNECTIONS = 64
#: 50 peers and the rest of an answer.
_LEAST_BYTES = 350


async def measure(*, seconds: int, repeats: int) -> dict[str, Any]:
    """Return the figures of ``repeats`` pairs of runs of ``seconds`` each."""

    async def load(tools: Loads, tracker: Contestant) -> dict[str, Any]:
        await tools.fill(tracker.port)
        http = tools.http(tracker.port, seconds=seconds, connections=CONNECTIONS)
        figures = await timed(tracker, http)
        if figures["bytes"] < figures["answered"] * _LEAST_BYTES or figures["not_200"]:
            raise AssertionError(f"these are not answers with 50 peers: {figures}")
        return figures

    return {"connections": CONNECTIONS, **await compare(load, repeats=repeats)}
