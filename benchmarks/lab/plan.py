"""What a lab is made of, decided before anything is made: hosts, racks, addresses, rates. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from swarm.errors import ConfigurationError
from swarm.link_rate import MEGABIT

if TYPE_CHECKING:
    from collections.abc import Mapping


_MOST_RACKS = 200
_MOST_HOSTS = 200
#: Where source and tracker stand.
SOURCE_RACK = "r1"
#: Last parts of addresses in rack 1, above those of hosts.
_SOURCE, _TRACKER = 251, 252


@dataclass(frozen=True)
class Shape:
    """What is asked for. Rates are bits per second, of each direction; 0 is not shaped."""

    hosts: int
    racks: int = 1
    rate: int = 50 * MEGABIT
    #: Of each rack's link to the others.
    uplink: int = 0
    #: Hosts (from 1) with another rate than ``rate``.
    rates: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.hosts <= _MOST_HOSTS:
            raise ConfigurationError(f"--hosts: a lab has 1 to {_MOST_HOSTS} hosts")
        if not 1 <= self.racks <= min(self.hosts, _MOST_RACKS):
            raise ConfigurationError(
                f"--racks: {self.racks} racks can't be filled by {self.hosts} hosts"
            )
        if min(self.rate, self.uplink, *self.rates.values()) < 0:
            raise ConfigurationError("--rate: a rate is a number of bits per second, or 0")


@dataclass(frozen=True)
class Host:
    """One namespace with one interface."""

    name: str
    #: Name of the rack, such as ``r1``.
    rack: str
    address: str
    rate: int


@dataclass(frozen=True)
class Plan:
    """The hosts that want the image, the one that has it, and the tracker's.

    Source and tracker stand in rack 1. They have links like any host; a lab in which the source had
    a better one would flatter everybody.
    """

    shape: Shape
    hosts: tuple[Host, ...]
    source: Host
    tracker: Host

    @property
    def everybody(self) -> tuple[Host, ...]:
        """All hosts there are."""
        return (self.source, self.tracker, *self.hosts)

    @property
    def racks(self) -> tuple[str, ...]:
        """The racks' names."""
        return tuple(f"r{number + 1}" for number in range(self.shape.racks))


def plan(shape: Shape) -> Plan:
    """Return the lab of ``shape``; hosts are spread evenly over racks, in rows."""
    per_rack = -(-shape.hosts // shape.racks)
    hosts = tuple(
        Host(
            f"h{number + 1}",
            f"r{number // per_rack + 1}",
            f"10.77.{number // per_rack + 1}.{number % per_rack + 1}",
            shape.rates.get(number + 1, shape.rate),
        )
        for number in range(shape.hosts)
    )
    source = Host("source", SOURCE_RACK, f"10.77.1.{_SOURCE}", shape.rate)
    tracker = Host("tracker", SOURCE_RACK, f"10.77.1.{_TRACKER}", shape.rate)
    return Plan(shape, hosts, source, tracker)
