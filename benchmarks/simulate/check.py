"""The simulation beside the lab: the same swarm in both, and how far apart they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.simulate.figures import figures
from benchmarks.simulate.swarm import simulate
from benchmarks.simulate.world import World
from swarm.errors import ConfigurationError
from swarm.metainfo import piece_length

if TYPE_CHECKING:
    from pathlib import Path

#: The simulation may be so far from the nearest of the lab's figures.
TOLERANCE = 0.1
#: A run on a machine that was busier than this does not count.
_MOST_BUSY = 0.9


@dataclass(frozen=True)
class Measured:
    """What the lab measured of one swarm: time of the last host, least and most of its repeats."""

    world: World
    least: float
    most: float
    #: Why it is shown and does not count, if that is so.
    remark: str = ""


@dataclass(frozen=True)
class Compared:
    """A measured swarm, and the same one simulated."""

    measured: Measured
    simulated: float

    @property
    def deviation(self) -> float:
        """How far the simulation is outside of what was measured, as a share; 0 is within."""
        least, most = self.measured.least, self.measured.most
        if self.simulated < least:
            return self.simulated / least - 1
        return max(0.0, self.simulated / most - 1)

    @property
    def is_close(self) -> bool:
        """Whether that is within the tolerance."""
        return abs(self.deviation) <= TOLERANCE


def _lab(hosts: int, rate: float, least: float, most: float, slices: str = "rack") -> Measured:
    size = 128 << 20
    world = World(
        hosts=hosts, rate=rate, image_bytes=size, pieces=512, slices=slices, request_queue=16
    )
    return Measured(world, least, most)


def _queue(blocks: int, last: float) -> Measured:
    """Return what ``swarm/engine/profiles.py`` quotes for queues of so many blocks."""
    world = World(hosts=8, rate=25e6, image_bytes=32 << 20, pieces=512, request_queue=blocks)
    return Measured(world, last, last)


#: Measured by hand before there were reports: 128 MiB in pieces of 256 KiB, queues of 16 blocks.
BY_HAND = (
    _lab(4, 50e6, 1.03, 1.03),
    _lab(8, 50e6, 1.05, 1.10),
    _lab(8, 50e6, 1.13, 1.19, slices="none"),
    _lab(16, 32e6, 1.10, 1.13),
    _queue(16, 1.13),
    _queue(4, 1.07),
    _queue(2, 1.03),
    Measured(
        World(hosts=32, rate=16e6, image_bytes=64 << 20, pieces=256, request_queue=16),
        1.29,
        1.35,
        "does not count: the processor was 90 % busy",
    ),
    *(
        Measured(
            World(
                hosts=16,
                racks=2,
                rate=32e6,
                uplink=2,
                image_bytes=128 << 20,
                pieces=512,
                slices="all",
                handout=handout,
                numwant=8,
                request_queue=16,
            ),
            last,
            last,
            "does not count: one run, peers chosen otherwise",
        )
        for handout, last in (("uniform", 1.35), ("rack_aware", 1.19))
    ),
)


def measured(path: Path, contestant: str = "roles") -> list[Measured]:
    """Return what a report of the lab says of flash crowds of ours, by number of hosts.

    Runs that failed, or that the processor held back, do not count. Raises
    :class:`~swarm.errors.ConfigurationError` for a file that is no such report.
    """
    try:
        report = json.loads(path.read_text())
        options = report["options"]
        times: dict[int, list[float]] = {}
        for run in report["runs"]:
            counts = run["contestant"] == contestant and not run["failure"]
            if counts and run["busy"] <= _MOST_BUSY:
                times.setdefault(int(run["case"]["hosts"]), []).append(run["figures"]["last"])
        return [Measured(_world(options, n), min(t), max(t)) for n, t in sorted(times.items())]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{path}: this is no report of the lab: {error!r}") from error


def _world(options: dict[str, float], hosts: int) -> World:
    size, rate = int(options["image_bytes"]), float(options["rate"])
    uplink = float(options.get("uplink", 0)) / rate
    pieces = -(-size // piece_length(size))
    racks = int(options.get("racks", 1))
    return World(
        hosts=hosts, racks=racks, rate=rate, uplink=uplink, image_bytes=size, pieces=pieces
    )


def compare(swarms: list[Measured] | tuple[Measured, ...] = BY_HAND) -> list[Compared]:
    """Simulate what was measured."""
    return [Compared(one, figures(simulate(one.world))["last"]) for one in swarms]
