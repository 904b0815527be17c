"""What many runs come to: repeats as minimum, median, maximum; targets met or not. Pure."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchmarks.scenario import Run, Target


@dataclass(frozen=True)
class Spread:
    """A figure of several repeats."""

    minimum: float
    median: float
    maximum: float

    def is_apart_from(self, other: Spread) -> bool:
        """Whether no value of one can have been a value of the other."""
        return self.minimum > other.maximum or other.minimum > self.maximum


@dataclass(frozen=True)
class Group:
    """The repeats of one contestant in one case."""

    case: Mapping[str, int | str]
    contestant: str
    runs: tuple[Run, ...]

    @property
    def counted(self) -> list[Run]:
        """Those that count: they did not fail, and it was not the processor that was measured."""
        return [run for run in self.runs if run.failure is None and not run.is_cpu_bound]

    @property
    def cpu_bound(self) -> list[Run]:
        """Those that are shown, and don't count."""
        return [run for run in self.runs if run.failure is None and run.is_cpu_bound]

    @property
    def failed(self) -> list[Run]:
        """Those without figures."""
        return [run for run in self.runs if run.failure is not None]

    @property
    def key(self) -> tuple[object, ...]:
        """What another report's group has to have in common to be compared with it."""
        return (*sorted(self.case.items()), self.contestant)


def groups(runs: Iterable[Run]) -> list[Group]:
    """Return the runs by case, then by contestant, in the order in which they came."""
    found: dict[tuple[object, ...], dict[str, list[Run]]] = {}
    for run in runs:
        of_case = found.setdefault(tuple(run.case.items()), {})
        of_case.setdefault(run.contestant, []).append(run)
    return [
        Group(repeats[0].case, contestant, tuple(repeats))
        for of_case in found.values()
        for contestant, repeats in of_case.items()
    ]


def spread(runs: Sequence[Run], figure: str) -> Spread | None:
    """Return what a figure comes to over those runs that have it, if any has."""
    values = [run.figures[figure] for run in runs if figure in run.figures]
    return Spread(min(values), statistics.median(values), max(values)) if values else None


def figures(runs: Iterable[Run]) -> list[str]:
    """Return the names of all figures there are, in the order in which they came."""
    return list(dict.fromkeys(name for run in runs for name in run.figures))


def case_text(case: Mapping[str, int | str]) -> str:
    """Return a case for a person: ``8 hosts, slow yes``."""
    words = [
        (f"{value} host{'s' * (value != 1)}" if name == "hosts" else f"{name} {value}")
        for name, value in case.items()
    ]
    return ", ".join(words) or "the only case"


def middle(runs: Sequence[Run], figure: str = "last") -> Run | None:
    """Return the run whose figure is the median one, the lower of two."""
    having = sorted(
        (run for run in runs if figure in run.figures), key=lambda run: run.figures[figure]
    )
    return having[(len(having) - 1) // 2] if having else None


@dataclass(frozen=True)
class Verdict:
    """A target, and what was measured of it."""

    target: Target
    #: Of the case that is farthest from the target; None if nothing that counts was measured.
    measured: Spread | None
    case: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the median is what was asked for, in every case; None if that is not known."""
        return None if self.measured is None else self.target.is_met(self.measured.median)


def judge(targets: Iterable[Target], runs: Sequence[Run]) -> list[Verdict]:
    """Hold what was measured against targets, each of them in every case that it is about."""
    return [
        _judge(target, groups(run for run in runs if target.is_about(run))) for target in targets
    ]


def _judge(target: Target, about: list[Group]) -> Verdict:
    measured = [
        (found, case_text(group.case))
        for group in about
        if (found := spread(group.counted, target.figure)) is not None
    ]
    if not measured:
        return Verdict(target, None)
    farthest = max if target.at_most is not None else min
    return Verdict(target, *farthest(measured, key=lambda each: each[0].median))
