"""A report for people: the question, how to ask it again, a table for each case, the targets."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from benchmarks.machine import machine_line
from benchmarks.quantities import number_text, rate_text, size_text
from benchmarks.report.summary import case_text, figures, groups, judge, spread
from benchmarks.scenario import MOST_BUSY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from typing import Any

    from benchmarks.report.document import Report
    from benchmarks.report.summary import Group, Spread, Verdict
    from benchmarks.scenario import Run, Target

#: The figures that every crowd has, in this order, around those of a scenario's own.
_FIRST = {
    "last": "last host",
    "median": "median host",
    "last_to_median": "last / median",
}
_THEN = {
    "source_sent": "source sent",
    "uplink_into_rack": "uplink into a rack",
    "uplink_back": "uplink out of it",
}
#: Figures that there are of each role: what comes before the role's name, and the column.
_OF_ROLES = {"cpu_seconds_per_gib_": "CPU s/GiB", "peak_mib_": "peak MiB"}
_NOT_KNOWN = "-"


def markdown(report: Report, plots: Iterable[Path] = ()) -> str:
    """Return the text of a report; ``plots`` stand in the same directory."""
    title, _, more = report.question.partition("\n")
    lines = [f"# {title}", "", more.strip(), "", *_circumstances(report), ""]
    if report.partial is not None:
        lines += [f"**Partial: {report.partial}.** What was measured before is kept.", ""]
    for path in plots:
        lines += [f"![{path.stem}]({path.name})", ""]
    for case, of_case in groupby(groups(report.runs), key=lambda group: group.case):
        lines += [f"## {case_text(case)}", "", *table(*rows(list(of_case))), ""]
    lines += [*_notes(report), *_failures(report.runs), *_targets(report)]
    return "\n".join(lines).strip().replace("\n\n\n", "\n\n") + "\n"


def _circumstances(report: Report) -> list[str]:
    return [
        f"Measured on {report.date}, at commit {report.machine['commit'][:12]}, by",
        "",
        f"    {report.command}",
        "",
        f"that is {options_text(report.options)}.",
        "",
        machine_line(report.machine),
    ]


def options_text(options: dict[str, Any]) -> str:
    """Return in words what was measured."""
    uplink = options["racks"] > 1
    return (
        f"{_listed(options['hosts'])} hosts in {options['racks']} "
        f"rack{'s' * (options['racks'] != 1)}, links {rate_text(options['rate'])}"
        f"{', uplinks ' + rate_text(options['uplink']) if uplink else ''}, "
        f"image {size_text(options['image_bytes'])}, {options['repeat']} repeats of "
        f"{_listed(options['contestants'])}"
    )


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


def table(head: Sequence[str], body: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [head, ["---"] * len(head), *body]
    return [f"| {' | '.join(line)} |" for line in lines]


def rows(of_case: Sequence[Group]) -> tuple[list[str], list[list[str]]]:
    """Return the table of one case: its head, and a row for each contestant.

    Where runs were bound by the processor they have a row of their own, marked by a star.
    """
    runs = [run for group in of_case for run in (*group.counted, *group.cpu_bound)]
    columns = _columns(figures(runs))
    roles = {
        column: [name for name in figures(runs) if name.startswith(prefix)]
        for prefix, column in _OF_ROLES.items()
    }
    shown = {column: names for column, names in roles.items() if names}
    body = []
    for group in of_case:
        if group.counted:
            body.append(_row(group.contestant, group.counted, len(group.runs), columns, shown))
        if group.cpu_bound:
            starred = f"{group.contestant} \\*"
            body.append(_row(starred, group.cpu_bound, None, columns, shown))
        if not group.counted and not group.cpu_bound:
            empty = [_NOT_KNOWN] * (len(columns) + len(shown) + 1)
            body.append([group.contestant, *empty, f"0 of {len(group.runs)}"])
    return ["contestant", *columns.values(), *shown, "busy", "counted"], body


def _columns(names: Iterable[str]) -> dict[str, str]:
    """Return figures to show in columns of their own, and the columns' names."""
    names = list(names)
    own = {
        name: name.replace("_", " ")
        for name in names
        if name not in _FIRST | _THEN and not name.startswith(tuple(_OF_ROLES))
    }
    return {name: label for name, label in (_FIRST | own | _THEN).items() if name in names}


def _row(
    label: str,
    runs: Sequence[Run],
    among: int | None,
    columns: dict[str, str],
    roles: dict[str, list[str]],
) -> list[str]:
    busy = [f"{run.busy * 100:.0f}" for run in (min(runs, key=_busy), max(runs, key=_busy))]
    counted = "none" if among is None else f"{len(runs)} of {among}"
    return [
        label,
        *(_spread_text(spread(runs, name)) for name in columns),
        *(_of_roles(runs, names) for names in roles.values()),
        f"{'-'.join(dict.fromkeys(busy))} %",
        counted,
    ]


def _busy(run: Run) -> float:
    return run.busy


def _of_roles(runs: Sequence[Run], names: Iterable[str]) -> str:
    """Return the medians of a figure that there is of each role."""
    medians = {name: found.median for name in names if (found := spread(runs, name)) is not None}
    texts = [f"{_role(name)} {number_text(value)}" for name, value in medians.items()]
    return ", ".join(texts) or _NOT_KNOWN


def _role(name: str) -> str:
    return next(name.removeprefix(prefix) for prefix in _OF_ROLES if name.startswith(prefix))


def _spread_text(found: Spread | None) -> str:
    if found is None:
        return _NOT_KNOWN
    values = [number_text(value) for value in (found.minimum, found.median, found.maximum)]
    return values[0] if len(set(values)) == 1 else " / ".join(values)


def _notes(report: Report) -> list[str]:
    lines = [
        "Figures are minimum / median / maximum of the runs that count. Hosts are ratios to the",
        "time of one plain TCP copy in the same lab; what the source and the uplinks carried is in",
        "images, as one such copy puts them on the wire. CPU and memory are medians.",
        "",
    ]
    if any(group.cpu_bound for group in groups(report.runs)):
        lines += [
            f"\\* The cores were more than {MOST_BUSY * 100:.0f} % busy: the machine was measured,",
            "and these runs do not count.",
            "",
        ]
    return lines


def _failures(runs: Iterable[Run]) -> list[str]:
    lines = [
        f"- {run.contestant}, {case_text(run.case)}: {run.failure.splitlines()[0]}"
        for run in runs
        if run.failure
    ]
    return ["## Failed", "", *lines, ""] if lines else []


def _targets(report: Report) -> list[str]:
    """Return the table of targets that this run was about, if there are any."""
    verdicts = [each for each in judge(report.targets, report.runs) if _is_asked(each, report.runs)]
    if not verdicts:
        return []
    body = [
        [each.target.what, each.target.contestant, _bound(each.target), _found(each), _word(each)]
        for each in verdicts
    ]
    return ["## Targets", "", *table(("what", "who", "target", "measured", "met"), body), ""]


def _is_asked(verdict: Verdict, runs: Iterable[Run]) -> bool:
    return any(verdict.target.is_about(run) for run in runs)


def _bound(target: Target) -> str:
    bounds = [
        f"{sign} {number_text(bound)}"
        for sign, bound in (("<=", target.at_most), (">=", target.at_least))
        if bound is not None
    ]
    return ", ".join(bounds)


def _found(verdict: Verdict) -> str:
    where = "" if "hosts" in verdict.target.case else f" ({verdict.case})"
    return _spread_text(verdict.measured) + where * (verdict.measured is not None)


def _word(verdict: Verdict) -> str:
    return {None: "not known", True: "yes", False: "**no**"}[verdict.is_met]
