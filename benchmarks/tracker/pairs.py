"""Ours beside opentracker, in turns: what the machine does to one it does to the other."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.tracker.loads import Loads, loads
from benchmarks.tracker.opentracker import opentracker
from benchmarks.tracker.subject import subject

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

TORRENTS = 1000


class Contestant(Protocol):
    """A tracker that is running."""

    @property
    def port(self) -> int:
        """Its port on 127.0.0.1, of TCP and UDP."""

    def cpu_seconds(self) -> float:
        """Return the processor time it has used so far."""


async def compare(
    load: Callable[[Loads, Contestant], Awaitable[dict[str, Any]]], *, repeats: int
) -> dict[str, Any]:
    """Return the rates of both in each of ``repeats`` pairs, and their ratios.

    A rate is of answers per second. Beside it stands the rate per second of the tracker's own
    processor time, which other programs on the machine disturb less.
    """
    found: dict[str, list[dict[str, Any]]] = {"opentracker": [], "ours": []}
    for _ in range(repeats):
        async with subject(torrents=TORRENTS) as ours:
            hashes = ours.hashes
            with loads(hashes) as tools:
                await tools.build()
                async with opentracker(hashes) as other:
                    found["opentracker"].append(await load(tools, other))
                found["ours"].append(await load(tools, ours))
    return {
        "torrents": TORRENTS,
        "runs": found,
        **{
            name: {kind: _spread([run[name] for run in runs]) for kind, runs in found.items()}
            | {"ratio": _spread(_ratios(found, name))}
            for name in ("answers_per_second", "answers_per_cpu_second")
        },
    }


async def timed(tracker: Contestant, figures: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    """Await a load's figures and add the rates."""
    before = tracker.cpu_seconds()
    found = await figures
    cpu_seconds = tracker.cpu_seconds() - before
    if not found["answered"]:
        raise AssertionError(f"nothing was answered as it should: {found}")
    rate = found["answered"] / found["seconds"]
    everything = found["answered"] + found.get("first_round", 0)
    return {
        **found,
        "answers_per_second": rate,
        "answers_per_cpu_second": everything / cpu_seconds,
    }


def _ratios(found: dict[str, list[dict[str, Any]]], name: str) -> list[float]:
    pairs = zip(found["ours"], found["opentracker"], strict=True)
    return [ours[name] / other[name] for ours, other in pairs]


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}
