"""The plots of a report: who is done when, how it grows with the hosts, how one of our runs went.

matplotlib is imported when something is drawn: it is no dependency of the service.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from benchmarks.report.summary import case_text, groups, middle, spread
from swarm.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchmarks.report.document import Report
    from benchmarks.report.summary import Group
    from benchmarks.scenario import Run

OURS = "roles"
_LABELS = {OURS: "glance-swarm", "http": "HTTP (nginx, curl)", "libtorrent": "stock libtorrent"}

#: Inches, and dots of an inch: twice what a page of 800 pixels shows.
_SIZE, _DPI = (8.0, 4.5), 200
#: By Okabe and Ito, for all kinds of colour vision; black is ours.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_OWN_COLOUR = "#000000"
_MARKERS = "sDv^Px"
_DASHES = ("-", "--", "-.", ":")
#: A span of ratios beyond which they are drawn on a logarithmic scale.
_WIDE = 4.0
#: Ticks of ratios, of which those are taken that are in reach.
_TICKS = (1.0, 1.1, 1.2, 1.5, 2.0, 3.0, 5.0, 8.0, 16.0, 32.0, 64.0)


def check() -> None:
    """Raise :class:`~swarm.errors.ConfigurationError` if nothing can be drawn."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigurationError(
            "reports have plots, and matplotlib is not installed: pip install 'glance-swarm[bench]'"
        )


def draw(report: Report, directory: Path, stem: str) -> list[Path]:
    """Draw what the runs are enough for; return the files."""
    check()
    kinds: dict[str, Callable[[Axes, Report], bool]] = {
        "hosts": _by_hosts,
        "completion": _completion,
        "received": _received,
    }
    drawn = []
    for name, kind in kinds.items():
        figure, axes = _canvas()
        if kind(axes, report):
            drawn.append(directory / f"{stem}-{name}.png")
            figure.savefig(drawn[-1], dpi=_DPI)
    return drawn


def _canvas() -> tuple[Figure, Axes]:
    from matplotlib import rc_context  # noqa: PLC0415 - see above
    from matplotlib.figure import Figure  # noqa: PLC0415

    with rc_context({"font.size": 11, "axes.titlesize": 12}):
        figure = Figure(figsize=_SIZE, layout="constrained", facecolor="white")
        axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _by_hosts(axes: Axes, report: Report) -> bool:
    """Draw the last host's ratio against the number of hosts."""
    points = dict(_spreads(report.runs))
    if len({hosts for each in points.values() for hosts in each}) < 2:
        return False
    styles = _styles(report)
    for number, (contestant, each) in enumerate(points.items()):
        hosts = sorted(each)
        middles = [each[count][1] for count in hosts]
        below = [each[count][1] - each[count][0] for count in hosts]
        above = [each[count][2] - each[count][1] for count in hosts]
        colour, marker, _ = styles[contestant]
        axes.errorbar(
            # Side by side, so that bars don't hide each other.
            [count * 1.025 ** (number - len(points) / 2) for count in hosts],
            middles,
            yerr=[below, above],
            label=_label(contestant),
            color=colour,
            marker=marker,
            markersize=6,
            capsize=3,
            linewidth=2.2 if contestant == OURS else 1.4,
            zorder=3 if contestant == OURS else 2,
        )
    _scale_hosts(axes, sorted({count for each in points.values() for count in each}))
    _scale_ratios(
        axes, [value for each in points.values() for all_ in each.values() for value in all_]
    )
    axes.axhline(1, color="#888888", linewidth=1, linestyle=":")
    axes.set_xlabel("hosts that ask at once")
    axes.set_ylabel("last host / one TCP copy")
    axes.set_title("Time until the last host has the image (median, min-max)", loc="left")
    _legend(axes)
    return True


def _spreads(
    runs: Iterable[Run],
) -> Iterator[tuple[str, dict[int, tuple[float, float, float]]]]:
    """Yield what each contestant's last host took, by number of hosts; of cases of hosts alone."""
    found: dict[str, dict[int, tuple[float, float, float]]] = {}
    for group in groups(runs):
        last = spread(group.counted, "last")
        if last is not None and group.case.keys() == {"hosts"}:
            of_contestant = found.setdefault(group.contestant, {})
            of_contestant[int(group.case["hosts"])] = (last.minimum, last.median, last.maximum)
    yield from sorted(found.items(), key=lambda item: -max(each[1] for each in item[1].values()))


def _scale_hosts(axes: Axes, counts: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.set_xticks([], minor=True)


def _scale_ratios(axes: Axes, values: Sequence[float]) -> None:
    """Let ratios that are far apart be told apart near 1."""
    low, high = min(1.0, *values), max(values)
    axes.set_yscale("log")
    axes.set_ylim(low * 0.96, high * 1.08)
    ticks = [tick for tick in _TICKS if low * 0.96 <= tick <= high * 1.08]
    if high > _WIDE:
        ticks = [tick for tick in ticks if tick not in (1.1, 1.2)]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([], minor=True)


def _completion(axes: Axes, report: Report) -> bool:
    """Draw what share of the hosts is done after what time, for one case."""
    shown = _case_of_most([group for group in groups(report.runs) if _done(group) is not None])
    times = {
        group.contestant: [
            seconds / run.limit_seconds for seconds in sorted(run.completed.values())
        ]
        for group in shown
        if (run := _done(group)) is not None
    }
    if not times:
        return False
    styles = _styles(report)
    start = min(0.9, 0.95 * min(each[0] for each in times.values()))
    for contestant, each in sorted(times.items(), key=lambda item: item[1][-1]):
        colour, _, dashes = styles[contestant]
        axes.step(
            [start, *each],
            [100 * done / len(each) for done in range(len(each) + 1)],
            where="post",
            label=f"{_label(contestant)}  {each[-1]:.2f}",
            color=colour,
            linestyle=dashes,
            linewidth=2.4 if contestant == OURS else 1.6,
            zorder=3 if contestant == OURS else 2,
        )
    _scale_times(axes, start, max(each[-1] for each in times.values()))
    axes.axvline(1, color="#888888", linewidth=1, linestyle=":")
    axes.set_ylim(0, 102)
    axes.set_xlabel("time / one TCP copy")
    axes.set_ylabel("hosts that have the image, %")
    axes.set_title(f"Who is done when: {case_text(shown[0].case)} (median run)", loc="left")
    _legend(axes, title="last host at")
    return True


def _scale_times(axes: Axes, start: float, end: float) -> None:
    if end > _WIDE:
        axes.set_xscale("log")
        ticks = [tick for tick in _TICKS if start <= tick <= end * 1.05 and tick not in (1.1, 1.2)]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_xticks([], minor=True)
    axes.set_xlim(start, end * 1.05)


def _legend(axes: Axes, title: str = "") -> None:
    """Put the legend beside the axes, where it hides nothing."""
    place = (1.0, 1.0)
    axes.legend(
        frameon=False, loc="upper left", bbox_to_anchor=place, title=title, alignment="left"
    )


def _done(group: Group) -> Run | None:
    """Return the run that stands for a group, if it tells when its hosts were done."""
    return middle([run for run in group.counted if run.completed and run.limit_seconds])


def _case_of_most(found: Sequence[Group]) -> list[Group]:
    """Return the groups of the case with most contestants, and of those with most hosts."""
    cases: dict[tuple[object, ...], list[Group]] = {}
    for group in found:
        cases.setdefault(tuple(group.case.items()), []).append(group)
    return max(
        cases.values(),
        key=lambda each: (len(each), int(each[0].case.get("hosts", 0))),
        default=[],
    )


def _received(axes: Axes, report: Report) -> bool:
    """Draw what each host had received by when, in one run of ours."""
    ours = [group for group in groups(report.runs) if group.contestant == OURS]
    shown = _case_of_most([group for group in ours if _done(group) is not None])
    run = _done(shown[0]) if shown else None
    if run is None or not run.curves:
        return False
    times = [seconds / run.limit_seconds for seconds in run.times]
    for number, curve in enumerate(run.curves.values()):
        label = "one host each" if not number else None
        axes.plot(times, curve, color=_COLOURS[0], linewidth=1, alpha=0.5, label=label)
    axes.plot([0, 1], [0, 1], color="#888888", linestyle=":", label="one TCP copy")
    axes.set_xlim(0, max(times))
    axes.set_ylim(0, None)
    axes.set_xlabel("time / one TCP copy")
    axes.set_ylabel("received on the wire / image")
    axes.set_title(
        f"What each host has received: {case_text(run.case)}, {_label(OURS)}", loc="left"
    )
    axes.legend(frameon=False, loc="lower right")
    return True


def _label(contestant: str) -> str:
    return _LABELS.get(contestant, contestant)


def _styles(report: Report) -> dict[str, tuple[str, str, str]]:
    """Return colour, marker and dashes of each contestant, the same in every plot."""
    others = sorted({run.contestant for run in report.runs} - {OURS})
    styles = {
        name: (
            _COLOURS[number % len(_COLOURS)],
            _MARKERS[number % len(_MARKERS)],
            _DASHES[(number + 1) % len(_DASHES)],
        )
        for number, name in enumerate(others)
    }
    return {OURS: (_OWN_COLOUR, "o", "-"), **styles}
