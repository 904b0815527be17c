"""The fixed set of questions: each is a world beside others that differ in one thing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.simulate.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The question that the plot is of.
SIZES = "How does it grow with hosts and racks?"
#: What is varied is said against this.
_BASE = World()
_RACKS = World(hosts=160, racks=4, pieces=1024)
#: The best that was found for many racks and hosts.
_TRIED = {"handout": "pairs", "numwant": 12, "gateways": 16}
_MANY = 2000


def questions(hosts: tuple[int, ...]) -> Iterator[tuple[str, str, World]]:
    """Yield the question, what is varied, and the world; sizes of the crowd are ``hosts``."""
    yield from _racks()
    yield from _slices()
    yield from _peers()
    yield from _arrivals()
    for count in sorted(hosts):
        yield from _sizes(count)


def _sizes(count: int) -> Iterator[tuple[str, str, World]]:
    for racks in (1, 4, 40, 250):
        # Ten thousand hosts take minutes each: only what is most telling is asked of them.
        if count // racks < 16 or (count > _MANY and racks in {4, 40}):
            continue
        world = replace(_BASE, hosts=count, racks=racks)
        if count <= _MANY or racks > 1:
            yield SIZES, f"{count} hosts, {racks} racks, the tracker as it is", world
        tried = replace(world, **_TRIED, fan_out=2)  # type: ignore[arg-type]
        yield SIZES, f"{count} hosts, {racks} racks, pairs", tried


def _slices() -> Iterator[tuple[str, str, World]]:
    question = "Which policy, with slices and without?"
    for handout in ("rack_aware", "uniform", "completeness"):
        for slices in ("rack", "all", "none"):
            world = replace(_RACKS, handout=handout, slices=slices)
            yield question, f"{handout}, slices: {slices}", world


def _peers() -> Iterator[tuple[str, str, World]]:
    question = "How many pieces, and how many peers?"
    for pieces in (512, 1024, 2048, 4096):
        yield question, f"{pieces} pieces", replace(_BASE, pieces=pieces)
    for numwant in (10, 20):
        yield question, f"handouts of {numwant}", replace(_BASE, numwant=numwant)
    for gateways, numwant in ((0, 16), (8, 16), (16, 16), (32, 16), (16, 8), (16, 32)):
        world = replace(_BASE, handout="pairs", numwant=numwant, gateways=gateways)
        met = gateways or world.hosts
        yield question, f"everybody {numwant} peers, {met} meet the source and have slices", world
    big = replace(_BASE, hosts=1000, pieces=4096)
    yield question, "1000 hosts, 4096 pieces, the tracker as it is", big
    yield (
        question,
        "1000 hosts, 4096 pieces, everybody 12 peers, 16 meet the source and have slices",
        replace(big, **_TRIED),  # type: ignore[arg-type]
    )


def _arrivals() -> Iterator[tuple[str, str, World]]:
    question = "What of those who come later, or have slower links?"
    for storm in (0.1, 0.5, 1.0):
        world = replace(_BASE, arrival="storm", storm=storm)
        yield question, f"a storm over {storm:g} F/c", world
    yield question, "half at T/2", replace(_BASE, arrival="half-late")
    yield question, "one in ten at a tenth of the rate", replace(_BASE, slow_share=0.1)


def _racks() -> Iterator[tuple[str, str, World]]:
    question = "What do uplinks carry?"
    for remote in (1, 4, 10):
        for numwant in (20, 50):
            world = replace(_RACKS, remote=remote, numwant=numwant)
            yield question, f"rack_aware, {remote} of 50 remote, handouts of {numwant}", world
    for gateways, numwant in ((0, 50), (0, 12), (8, 6), (8, 16), (16, 8), (16, 12), (16, 14)):
        yield question, *_pairs(gateways, numwant)
    for gateways, numwant in ((0, 50), (16, 8), (16, 12), (16, 14)):
        yield question, *_pairs(gateways, numwant, far_cap=1.1 / (gateways or 40))
    for numwant in (12, 14):
        yield question, *_pairs(16, numwant, fan_out=1)
    yield question, *_pairs(16, 14, slice_priority=7)
    for share in (2.0, 4.0):
        world = replace(_RACKS, uplink=share)
        yield question, f"rack_aware, uplink of {share:g} host links", world
        yield question, *_pairs(16, 12, uplink=share)


def _pairs(gateways: int, numwant: int, **more: float) -> tuple[str, World]:
    world = replace(_RACKS, handout="pairs", gateways=gateways, numwant=numwant, pieces=4096)
    words = [f"pairs, {gateways or 40} gateways of 40, {numwant} peers in the rack"]
    words += [f"{name.replace('_', ' ')} {value:.3g}" for name, value in more.items()]
    return ", ".join(words), replace(world, **more)  # type: ignore[arg-type]
