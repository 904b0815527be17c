"""A report as data: what was asked, of what machine, and every run. JSON, a run a line.

It is all that Markdown, plots and comparisons are made of, so that they can be made again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.machine import machine
from benchmarks.scenario import Run, Target
from swarm.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.scenario import Options, Scenario

_FORMAT = 1
#: What may be measured; what is not installed is left out of reports.
_PACKAGES = ("libtorrent", "aiohttp", "uvloop")
_DEBIAN = (
    *("nginx", "curl", "aria2", "transmission-daemon", "qbittorrent-nox", "rtorrent"),
    *("opentracker", "iproute2"),
)
#: Points of all curves of one run together, and of one of them at most.
_MOST_POINTS = 800
_MOST_CURVE_POINTS = 100


@dataclass
class Report:
    """One scenario, measured once."""

    scenario: str
    #: What its module says of itself: the question, then what to know of it.
    question: str
    #: The words that would measure it again.
    command: str
    machine: dict[str, Any]
    options: dict[str, Any]
    targets: tuple[Target, ...] = ()
    #: Why it does not have all runs, if it does not.
    partial: str | None = None
    runs: list[Run] = field(default_factory=list)

    @property
    def date(self) -> str:
        """The day on which it was begun."""
        return str(self.machine["date"])[:10]

    @property
    def stem(self) -> str:
        """The first part of its files' names."""
        return f"{self.date}-{self.scenario}"


def begin(name: str, scenario: Scenario, options: Options, command: str) -> Report:
    """Return the report of a scenario that is going to be measured."""
    return Report(
        scenario=name,
        question=(scenario.__doc__ or name).strip(),
        command=command,
        machine=machine(packages=_PACKAGES, debian=_DEBIAN),
        options=asdict(options),
        targets=tuple(getattr(scenario, "TARGETS", ())),
        partial="it has not ended",
    )


def encode(report: Report) -> str:
    """Return the JSON of a report; curves are thinned to a few points."""
    head = {"format": _FORMAT, **asdict(report)}
    del head["runs"]
    lines = ",\n  ".join(
        json.dumps(asdict(_thinned(run)), separators=(",", ":")) for run in report.runs
    )
    return f'{json.dumps(head, indent=1)[:-2]},\n "runs": [\n  {lines}\n ]\n}}\n'


def _thinned(run: Run) -> Run:
    """Return a run with few points, rounded; the first and the last sample stay."""
    most = min(_MOST_CURVE_POINTS, max(2, _MOST_POINTS // max(1, len(run.curves))))
    chosen = _spaced(len(run.times), most)
    return Run(
        **{
            **vars(run),
            "figures": {name: float(f"{value:.5g}") for name, value in run.figures.items()},
            "busy": round(run.busy, 3),
            "times": [round(run.times[index], 2) for index in chosen],
            "curves": {
                name: [round(curve[index], 3) for index in chosen]
                for name, curve in run.curves.items()
            },
            "limit_seconds": round(run.limit_seconds, 4),
            "completed": {name: round(seconds, 4) for name, seconds in run.completed.items()},
        }
    )


def _spaced(count: int, most: int) -> list[int]:
    """Return up to ``most`` of the numbers below ``count``, evenly spaced, with both ends."""
    if count <= most:
        return list(range(count))
    return [number * (count - 1) // (most - 1) for number in range(most)]


def decode(text: str) -> Report:
    """Return the report that JSON tells of.

    Raises :class:`~swarm.errors.ConfigurationError` if it is none.
    """
    try:
        told = json.loads(text)
        if told.pop("format") != _FORMAT:
            raise ConfigurationError("this is a report of another version: measure again")
        told["runs"] = [Run(**run) for run in told["runs"]]
        told["targets"] = tuple(Target(**target) for target in told["targets"])
        return Report(**told)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(f"this is no report of the lab: {error!r}") from error


def read(path: Path) -> Report:
    """Read a report's JSON.

    Raises :class:`~swarm.errors.ConfigurationError` if the file is not there, or is none.
    """
    try:
        return decode(path.read_text())
    except (OSError, ConfigurationError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
