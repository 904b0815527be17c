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
_RACKS = World(hosts=160, racks=4, pieces=2048)


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
        if count // racks < 8:
            continue
        world = replace(_BASE, hosts=count, racks=racks)
        yield SIZES, f"{count} hosts, {racks} racks, the tracker as it is", world
        tried = replace(world, handout="pairs", numwant=16, gateways=8, fan_out=2)
        yield SIZES, f"{count} hosts, {racks} racks, pairs of 8 gateways", tried


def _slices() -> Iterator[tuple[str, str, World]]:
    question = "Which policy, with slices and without?"
    for handout in ("rack_aware", "uniform", "completeness"):
        for slices in ("rack", "all", "none"):
            world = replace(_RACKS, handout=handout, slices=slices, pieces=1024)
            yield question, f"{handout}, slices: {slices}", world


def _peers() -> Iterator[tuple[str, str, World]]:
    question = "How many pieces, and how many peers?"
    for pieces in (512, 1024, 2048, 4096):
        yield question, f"{pieces} pieces", replace(_BASE, pieces=pieces)
    for numwant in (10, 20, 50):
        yield question, f"handouts of {numwant}", replace(_BASE, numwant=numwant)
    regular = replace(_BASE, handout="pairs", numwant=16)
    yield question, "everybody 16 peers, all meet the source", regular
    for gateways in (4, 8, 16, 32):
        world = replace(regular, gateways=gateways)
        yield question, f"everybody 16 peers, {gateways} meet the source and have slices", world


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
            world = replace(_RACKS, remote=remote, numwant=numwant, pieces=1024)
            yield question, f"rack_aware, {remote} of 50 remote, handouts of {numwant}", world
    pairs = replace(_RACKS, handout="pairs")
    for gateways in (0, 16, 8, 4):
        for fan_out in (0, 1):
            linked = gateways or 40
            shape = "a chain of racks" if fan_out else "all fed by the first"
            for cap in (0.0, 1.1):
                world = replace(pairs, gateways=gateways, fan_out=fan_out, far_cap=cap / linked)
                capped = f", capped at {cap:g}/{linked}" if cap else ""
                yield question, f"pairs, {linked} gateways, {shape}{capped}", world
    for share in (2.0, 4.0):
        world = replace(_RACKS, uplink=share, pieces=1024)
        yield question, f"rack_aware, uplink of {share:g} host links", world
        tried = replace(pairs, uplink=share, gateways=8, fan_out=1)
        yield question, f"pairs, 8 gateways, a chain, uplink of {share:g} host links", tried
