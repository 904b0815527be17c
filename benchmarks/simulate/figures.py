"""The figures of a simulated swarm: times as ratios to F/c, bytes as ratios to the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from benchmarks.simulate.swarm import Outcome


def figures(outcome: Outcome) -> dict[str, float]:
    """Return the figures of an outcome by name; each host's time counts from its own start.

    Names are those of the lab's reports where both have the figure. ``last`` is infinite if a host
    never had everything.
    """
    world = outcome.world
    own = np.sort(outcome.done - outcome.started)
    found = {
        "last": float(own[-1]),
        "p99": float(own[min(len(own) - 1, int(len(own) * 0.99))]),
        "median": float(own[len(own) // 2]),
        "first": float(own[0]),
        "source_sent": float(outcome.sent[-1]),
        "unfinished": float(np.isinf(own).sum()),
    }
    if np.isfinite(own[-1]):
        found["p99_to_median"] = found["p99"] / found["median"]
    if world.arrival == "half-late":
        late = outcome.started > 0
        times = outcome.done - outcome.started
        found |= {"last_early": float(times[~late].max()), "last_late": float(times[late].max())}
    if world.slow_share:
        fast = world.rates()[: world.hosts] == world.rates()[world.source]
        found["last_fast"] = float((outcome.done - outcome.started)[fast].max())
    if world.racks > 1:
        found |= {
            "uplink_into_rack": float(outcome.into_rack[1:].max()),
            "uplink_into_rack_mean": float(outcome.into_rack[1:].mean()),
            "uplink_back": float(outcome.out_of_rack[1:].max()),
        }
    return found
