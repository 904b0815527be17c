"""How long does a node wait for its handout when two thousand join one swarm within a second?

The question of `python -m benchmarks.tracker run join-storm`, in the lab's reports: the tracker on
one core, all nodes on another, over loopback. Over the control channel, which is open already, and
over HTTP, where each node connects first. Hosts, rates and images have no meaning here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.lab.meter import BusyMeter
from benchmarks.scenario import Options, Run
from benchmarks.tracker import join_storm

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from benchmarks.scenario import Target

DEFAULTS = Options()

TARGETS: tuple[Target, ...] = ()


async def measure(options: Options) -> AsyncGenerator[Run, None]:
    """Yield a run for each way to join, repeat by repeat."""
    for _ in range(options.repeat):
        meter = BusyMeter()
        found = await join_storm.measure()
        busy = meter.share()
        for way in ("channel", "http"):
            case: dict[str, int | str] = {"nodes": join_storm.NODES, "over": way}
            yield Run("roles", case, found[way], busy, is_about_cpu=True)
