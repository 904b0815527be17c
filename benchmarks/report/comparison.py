"""Two reports of one scenario, side by side. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.quantities import number_text
from benchmarks.report.markdown import table
from benchmarks.report.summary import case_text, figures, groups, spread
from swarm.errors import ConfigurationError

if TYPE_CHECKING:
    from benchmarks.report.document import Report
    from benchmarks.report.summary import Group, Spread

_HEAD = ("case", "contestant", "figure", "A", "B", "B / A", "")


@dataclass(frozen=True)
class Change:
    """One figure of one contestant in one case, in both reports."""

    group: Group
    figure: str
    before: Spread
    after: Spread

    @property
    def ratio(self) -> float | None:
        """The second report's median by the first one's; None if that is nought."""
        return self.after.median / self.before.median if self.before.median else None

    @property
    def is_apart(self) -> bool:
        """Whether the spreads don't overlap: chance is an unlikely reason."""
        return self.before.is_apart_from(self.after)


def compare(before: Report, after: Report) -> list[Change]:
    """Return what both reports have figures of; only runs that count are looked at.

    Raises :class:`~swarm.errors.ConfigurationError` if they answer different questions.
    """
    if before.scenario != after.scenario:
        raise ConfigurationError(
            f"these are reports of {before.scenario} and of {after.scenario}: nothing to compare"
        )
    earlier = {group.key: group.counted for group in groups(before.runs)}
    return [
        Change(group, figure, old, new)
        for group in groups(after.runs)
        for figure in figures(group.counted)
        if (old := spread(earlier.get(group.key, []), figure)) is not None
        and (new := spread(group.counted, figure)) is not None
    ]


def differences(before: Report, after: Report) -> list[str]:
    """Return in what else than their figures two reports differ, a line each."""
    pairs = {
        "commit": (before.machine["commit"][:12], after.machine["commit"][:12]),
        "processor": (before.machine["processor"], after.machine["processor"]),
        "cores": (before.machine["cores"], after.machine["cores"]),
        "kernel": (before.machine["kernel"], after.machine["kernel"]),
        **{name: (value, after.options.get(name)) for name, value in before.options.items()},
    }
    return [f"{name}: {old} -> {new}" for name, (old, new) in pairs.items() if old != new]


def comparison(before: Report, after: Report) -> str:
    """Return the comparison as Markdown."""
    changes = compare(before, after)
    lines = [f"# {after.scenario}: {before.date} (A) and {after.date} (B)", ""]
    lines += [f"- {line}" for line in differences(before, after)]
    body = [
        (
            case_text(change.group.case),
            change.group.contestant,
            change.figure,
            _text(change.before),
            _text(change.after),
            "-" if change.ratio is None else number_text(change.ratio),
            "apart" if change.is_apart else "",
        )
        for change in changes
    ]
    lines += ["", *table(_HEAD, body), ""]
    lines += ["Figures are minimum / median / maximum; *apart*: the two spreads don't overlap."]
    return "\n".join(lines) + "\n"


def _text(found: Spread) -> str:
    return " / ".join(map(number_text, (found.minimum, found.median, found.maximum)))
