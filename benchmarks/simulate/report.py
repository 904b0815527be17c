"""A dated report of simulated answers: JSON, the same as Markdown, and a plot.

Nothing of the machine is told: what comes out depends on the commit, numpy's version and the seed.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.simulate.questions import SIZES
from benchmarks.simulate.world import World
from swarm.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.simulate.answers import Answer
    from benchmarks.simulate.check import Compared

RESULTS = Path(__file__).parents[1] / "results"
#: Of the Okabe-Ito palette, which colour-blind people can tell apart.
_COLOURS = {"rack_aware": "#D55E00", "pairs": "#0072B2"}
_MARKERS = {1: "o", 4: "s", 40: "^", 250: "D"}
_COLUMNS = {
    "last": "last host",
    "p99": "p99",
    "median": "median",
    "p99_to_median": "p99 / median",
    "source_sent": "seeder sent",
    "uplink_into_rack": "uplink into a rack, most",
    "uplink_into_rack_mean": "mean",
}
_MORE = {
    "last_early": "last of the early",
    "last_late": "last of the late",
    "last_fast": "last of the fast",
    "unfinished": "never done",
}


def write(
    answers: Sequence[Answer], compared: Sequence[Compared], command: str, directory: Path
) -> list[Path]:
    """Write the report's files, and return them."""
    directory.mkdir(parents=True, exist_ok=True)
    about = {
        "date": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
        "numpy": np.__version__,
        "command": command,
    }
    stem = f"{about['date'][:10]}-simulate"
    paths = [directory / f"{stem}.{ending}" for ending in ("json", "md", "png")]
    paths[0].write_text(_json(about, answers, compared))
    paths[1].write_text("\n".join(_lines(about, answers, compared, paths[2].name)) + "\n")
    plot(answers, paths[2])
    return paths


def _commit() -> str:
    git = shutil.which("git")
    if git is None:
        return "unknown"
    words = [git, "rev-parse", "HEAD"]
    done = subprocess.run(  # noqa: S603 - ours
        words, capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    )
    return done.stdout.strip() or "unknown"


def _json(about: dict[str, str], answers: Sequence[Answer], compared: Sequence[Compared]) -> str:
    told = {
        "about": about,
        "check": [
            asdict(one) | {"deviation": one.deviation, "is_close": one.is_close} for one in compared
        ],
        "answers": [asdict(answer) for answer in answers],
    }
    return json.dumps(finite(told), indent=1, allow_nan=False) + "\n"


def finite(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return what JSON can say: an infinite time is null."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float):
        return round(value, 5) if np.isfinite(value) else None
    return value


def _lines(
    about: dict[str, str], answers: Sequence[Answer], compared: Sequence[Compared], plot_name: str
) -> list[str]:
    lines = [f"# Simulated on {about['date'][:10]}", ""]
    lines += [
        f"`{about['command']}` at commit {about['commit'][:12]}, numpy {about['numpy']}.",
        "Times are ratios to F/c, one copy over one host link; bytes are ratios to the image. What",
        "the model has and what it leaves out: `benchmarks/simulate/README.md`.",
        "",
        f"![time of the last host and seeder upload by number of hosts]({plot_name})",
        "",
        f"Unless a row says otherwise: {_told(World())}.",
        "",
    ]
    if compared:
        lines += check_lines(compared)
    for question in dict.fromkeys(answer.question for answer in answers):
        asked = [answer for answer in answers if answer.question == question]
        lines += ["", f"## {question}", "", *table(asked)]
    return lines


def _told(world: World) -> str:
    names = ["image_bytes", "pieces", "rate", "numwant", "remote", "slices", "queue_blocks"]
    names += ["connections_limit", "latency_seconds", "overhead", "seed"]
    return _words({name: getattr(world, name) for name in names})


def _words(values: dict[str, Any]) -> str:
    words = [
        f"{name.replace('_', ' ')} {value if isinstance(value, str | int) else f'{value:g}'}"
        for name, value in values.items()
    ]
    return ", ".join(words)


def check_lines(compared: Sequence[Compared]) -> list[str]:
    """Return a table of the simulation beside the lab."""
    lines = ["## Beside the lab: the last host", ""]
    lines += ["| swarm | lab | simulated | outside by | within a tenth |", "|---|---|---|---|---|"]
    for one in compared:
        least, most = one.measured.least, one.measured.most
        verdict = "yes" if one.is_close else "**no**"
        if one.measured.remark:
            verdict += f"; {one.measured.remark}"
        span = f"{least:.2f}" if least == most else f"{least:.2f}-{most:.2f}"
        lines.append(
            f"| {differences(one.measured.world)} | {span} | {one.simulated:.3f} | "
            f"{one.deviation:+.1%} | {verdict} |"
        )
    return lines


def differences(world: World) -> str:
    """Return in words how a world differs from the usual one."""
    usual = World()
    changed = {
        field.name: getattr(world, field.name)
        for field in fields(world)
        if getattr(world, field.name) != getattr(usual, field.name)
    }
    return _words(changed) or "as usual"


def table(answers: Sequence[Answer]) -> list[str]:
    """Return a Markdown table of answers to one question; columns that nobody has are left out."""
    columns = {
        name: title
        for name, title in (_COLUMNS | _MORE).items()
        if any(answer.figures.get(name) for answer in answers)
    }
    lines = [f"| case | {' | '.join(columns.values())} |", f"|---|{'---|' * len(columns)}"]
    for answer in answers:
        cells = [_cell(answer.figures.get(name)) for name in columns]
        lines.append(f"| {answer.case} | {' | '.join(cells)} |")
    return lines


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if np.isfinite(value) else "never"


def plot(answers: Sequence[Answer], path: Path) -> None:
    """Draw the last host and the seeder's upload against the number of hosts.

    Raises :class:`~swarm.errors.ConfigurationError` if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - heavy, and an extra
    except ImportError as error:
        raise ConfigurationError("plots need matplotlib: pip install -e '.[bench]'") from error
    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, (name, title) in zip(
        figure.subplots(1, 2, sharex=True),
        (("last", "last host / (F/c)"), ("source_sent", "seeder upload / image")),
        strict=True,
    ):
        for (handout, racks), points in _series(answers, name).items():
            axes.plot(
                *zip(*sorted(points), strict=True),
                color=_COLOURS.get(handout, "0.3"),
                marker=_MARKERS.get(racks, "x"),
                label=f"{handout}, {racks} rack{'s' * (racks > 1)}",
            )
        axes.set(xscale="log", xlabel="hosts", ylabel=title)
        axes.axhline(1.0, color="0.6", linewidth=1)
        axes.grid(alpha=0.3)
        if name == "last":
            axes.legend(frameon=False, fontsize=8, loc="upper left")
    figure.savefig(path, dpi=110)


def _series(answers: Sequence[Answer], name: str) -> dict[tuple[str, int], list[tuple[int, float]]]:
    """Return the points of each line: one for each way to hand out and number of racks."""
    series: dict[tuple[str, int], list[tuple[int, float]]] = {}
    for answer in answers:
        world, value = answer.world, answer.figures[name]
        if answer.question == SIZES and np.isfinite(value):
            series.setdefault((world.handout, world.racks), []).append((world.hosts, value))
    return series
