"""What is simulated: hosts in racks, their links, when they come, and who deals with them.

The simulation counts in *pieces* and in *piece times*: what one piece takes over one whole host
link. So a host that receives at its link's rate has an image of P pieces after P piece times, which
is F/c, the limit; every figure is a ratio to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from swarm.engine.profiles import request_queue
from swarm.errors import ConfigurationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK_BYTES = 16 << 10
SLICES = ("none", "all", "rack")
ARRIVALS = ("at-once", "storm", "half-late")
#: Of the tracker; and those that are only tried here.
HANDOUTS = ("rack_aware", "uniform", "completeness", "pairs")


@dataclass(frozen=True)
class World:
    """One question. The source stands in rack 0, and has every piece from the start."""

    hosts: int = 100
    racks: int = 1
    pieces: int = 1024
    image_bytes: int = 1 << 30
    #: Of a host's link, bits per second, each way.
    rate: float = 1e9
    #: Share of the hosts that have a slower link, and how much of ``rate`` that has.
    slow_share: float = 0.0
    slow_rate: float = 0.1
    #: Of a rack's link to the others, each way, in host links; 0 is no limit.
    uplink: float = 0.0

    handout: str = "rack_aware"
    #: Peers in a handout, as ``[tracker] default_numwant``; with 0 nothing arrives.
    numwant: int = 50
    #: Far ones of each 50 in a rack-aware handout.
    remote: int = 4
    #: Among whom the pieces are shared out: nobody, all hosts together, or those of each rack.
    slices: str = "rack"
    #: Priority (libtorrent's 5 to 7) of pieces in the own slice; those of all others have 4.
    slice_priority: int = 5
    #: With pairs: hosts of each rack that have one (or the source) and a slice, 0 for all; and
    #: racks that one rack feeds, 0 for all others.
    gateways: int = 0
    fan_out: int = 0
    #: Most that a host takes from peers of other racks together, in host links; 0 is no limit.
    far_cap: float = 0.0

    arrival: str = "at-once"
    #: Of a storm, as a share of F/c.
    storm: float = 1.0

    #: Most requests of 16 KiB outstanding at one connection; 0 is what the engine's rule says,
    #: which goes by the link's rate and the number of connections.
    request_queue: int = 0
    connections_limit: int = 500
    #: Of the source; 0 is the same.
    source_connections: int = 0
    #: Seconds from the tracker's word to a connection that carries requests.
    latency_seconds: float = 0.03
    #: Share of every link that headers, requests, HAVEs and the other direction's ACKs take.
    overhead: float = 0.03
    #: Length of a step in piece times; 0 chooses by the number of hosts.
    step: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.racks <= self.hosts:
            raise ConfigurationError(
                f"--racks: {self.racks} racks can't be filled by {self.hosts} hosts"
            )
        for name, value, known in (
            ("slices", self.slices, SLICES),
            ("arrival", self.arrival, ARRIVALS),
            ("policy", self.handout, HANDOUTS),
        ):
            if value not in known:
                raise ConfigurationError(f"--{name}: {value} is none of {', '.join(known)}")
        if self.pieces < 1 or self.image_bytes < self.pieces * BLOCK_BYTES:
            raise ConfigurationError("--pieces: a piece has 16 KiB at least, and there is one")
        if not 5 <= self.slice_priority <= 7:
            raise ConfigurationError("--slice-priority: it is 5, 6 or 7")

    @property
    def nodes(self) -> int:
        """Hosts and the source, which is the last."""
        return self.hosts + 1

    @property
    def source(self) -> int:
        """The number of the source."""
        return self.hosts

    @property
    def piece_seconds(self) -> float:
        """Seconds that one piece takes over one host link."""
        return self.image_bytes / self.pieces * 8 / self.rate

    @property
    def block(self) -> float:
        """A block of 16 KiB, in pieces."""
        return BLOCK_BYTES * self.pieces / self.image_bytes

    @property
    def queue_blocks(self) -> int:
        """Most requests outstanding at one connection."""
        return self.request_queue or request_queue(int(self.rate))

    @property
    def step_length(self) -> float:
        """Of a step, in piece times."""
        return self.step or (0.25 if self.hosts <= 128 else 0.5 if self.hosts <= 2048 else 1.0)

    @property
    def has_far(self) -> bool:
        """Whether bytes between racks are limited by anything but the hosts' links."""
        return self.racks > 1 and (self.uplink > 0 or self.far_cap > 0)

    def rack_of(self) -> NDArray[np.int32]:
        """Return each node's rack: hosts in rows of equal length, the source in rack 0."""
        racks = np.arange(self.nodes, dtype=np.int64) * self.racks // self.hosts
        racks[self.source] = 0
        return racks.astype(np.int32)

    def rates(self) -> NDArray[np.float64]:
        """Return each node's rate for payload, in pieces per piece time; every n-th is slow."""
        rates = np.ones(self.nodes)
        slow = round(self.hosts * self.slow_share)
        if slow:
            rates[np.linspace(0, self.hosts - 1, slow).astype(int)] = self.slow_rate
        return rates * (1 - self.overhead)

    def starts(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return when each host comes, in piece times."""
        if self.arrival == "storm":
            return rng.random(self.hosts) * self.storm * self.pieces
        starts = np.zeros(self.hosts)
        if self.arrival == "half-late":
            starts[1::2] = self.pieces / 2
        return starts
