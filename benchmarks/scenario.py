"""What a scenario is: a question with its defaults, answered by measured runs.

A scenario is one module of ``benchmarks/scenarios``, and one line in its table. Its docstring is
the question, then what to know of it; ``DEFAULTS`` what it measures unless told otherwise;
``TARGETS`` what its figures should come to; ``measure`` yields a run at a time, so that what was
measured is not lost when a later run fails.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.lab.plan import SOURCE_RACK

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from benchmarks.crowd import Crowd


@dataclass(frozen=True)
class Options:
    """What is measured: each of ``hosts`` with each of ``contestants``, ``repeat`` times."""

    hosts: tuple[int, ...] = (8,)
    racks: int = 1
    #: Bits per second of a host's link.
    rate: int = 50_000_000
    #: Bits per second of a rack's uplink; 0 is not shaped.
    uplink: int = 0
    image_bytes: int = 64 << 20
    repeat: int = 5
    contestants: tuple[str, ...] = ("roles",)


@dataclass
class Run:
    """One measured run.

    ``case`` says what was varied, such as ``{"hosts": 8}``. Runs of one contestant and one case are
    repeats of each other, and reported as minimum, median and maximum of each figure.
    """

    contestant: str
    case: dict[str, int | str]
    figures: dict[str, float]
    #: Share of all cores that was busy; a run above 0.9 is shown, and does not count.
    busy: float
    #: Whether processor time is what is asked for: then a busy machine is no reason to doubt.
    is_about_cpu: bool = False
    #: Why there are no figures, if the contestant failed.
    failure: str | None = None
    #: Seconds of each sample, and the share of the image that each host had received by then.
    times: list[float] = field(default_factory=list)
    curves: dict[str, list[float]] = field(default_factory=dict)
    #: Seconds that one plain TCP copy took, and after which each host's file was there.
    limit_seconds: float = 0.0
    completed: dict[str, float] = field(default_factory=dict)

    @property
    def is_cpu_bound(self) -> bool:
        """Whether the machine was too busy for the figures to count."""
        return self.busy > MOST_BUSY and not self.is_about_cpu


#: A machine that is busier than this is what was measured, and not the swarm.
MOST_BUSY = 0.9


@dataclass(frozen=True)
class Target:
    """What the median of a figure should be, at most or at least.

    ``case`` names what has to be the same in a run's case; what it does not name may be anything.
    """

    #: For a person: what is asked for.
    what: str
    figure: str
    at_most: float | None = None
    at_least: float | None = None
    contestant: str = "roles"
    case: Mapping[str, int | str] = field(default_factory=dict)

    def is_about(self, run: Run) -> bool:
        """Whether a run's figure is one that this target is held against."""
        return run.contestant == self.contestant and self.case.items() <= run.case.items()

    def is_met(self, value: float) -> bool:
        """Whether a value is what was asked for."""
        is_low = self.at_most is None or value <= self.at_most
        return is_low and (self.at_least is None or value >= self.at_least)


class Scenario(Protocol):
    """A module of ``benchmarks/scenarios``."""

    __doc__: str | None
    DEFAULTS: Options

    @property
    def TARGETS(self) -> tuple[Target, ...]:  # noqa: N802 - a module's constant
        """What its figures should come to."""

    def measure(self, options: Options) -> AsyncGenerator[Run, None]:
        """Yield the runs that answer the question.

        Raises :class:`~swarm.errors.SwarmError` if the lab fails; a contestant that fails is a run.
        """


@dataclass(frozen=True)
class Limit:
    """What one plain TCP copy took in the same lab: what all figures are ratios to."""

    seconds: float
    #: Bytes of frames that the source sent.
    sent: int


def run_of(contestant: str, case: dict[str, int | str], crowd: Crowd, limit: Limit) -> Run:
    """Return the run that a crowd was, with the figures that every crowd has."""
    reading = crowd.reading
    own = sorted(crowd.own.values())
    figures: dict[str, float] = {
        "last": own[-1] / limit.seconds,
        "median": own[len(own) // 2] / limit.seconds,
        "last_to_median": own[-1] / own[len(own) // 2],
        "source_sent": reading.sent["source"] / limit.sent,
    }
    far = [rack for rack in reading.into_rack if rack != SOURCE_RACK]
    if far:
        figures["uplink_into_rack"] = max(reading.into_rack[rack] for rack in far) / limit.sent
        figures["uplink_back"] = max(reading.out_of_rack[rack] for rack in far) / limit.sent
    moved = limit.sent * len(own) / (1 << 30)
    for role, seconds in reading.cpu_seconds.items():
        figures[f"cpu_seconds_per_gib_{role}"] = seconds / moved
    for role, peak in reading.peak_memory.items():
        figures[f"peak_mib_{role}"] = peak / (1 << 20)
    curves = {
        name: [received / limit.sent for received in curve]
        for name, curve in reading.curves.items()
    }
    return Run(
        contestant,
        case,
        figures,
        reading.busy,
        times=reading.times,
        curves=curves,
        limit_seconds=limit.seconds,
        completed=crowd.done,
    )


def failed(contestant: str, case: dict[str, int | str], error: Any) -> Run:  # noqa: ANN401
    """Return the run of a contestant that failed."""
    return Run(contestant, case, {}, 0.0, failure=str(getattr(error, "detail", error)))
