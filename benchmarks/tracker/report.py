"""A dated report: what was asked, on what machine, with what versions, and the figures."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.machine import machine, machine_line

DIRECTORY = Path(__file__).parent / "reports"

_PACKAGES = ("aiohttp", "uvloop")
_DEBIAN = ("opentracker", "wrk", "gcc", "redis-server")


def write(found: dict[str, dict[str, Any]], questions: dict[str, str]) -> list[Path]:
    """Write the figures of each question as JSON, and as Markdown for people; return the files.

    ``questions`` are what their modules say of themselves: the question, then what to know of it.
    """
    DIRECTORY.mkdir(exist_ok=True)
    about = machine(packages=_PACKAGES, debian=_DEBIAN)
    stem = f"{about['date'][:10]}-{'-'.join(found)}"
    data, text = DIRECTORY / f"{stem}.json", DIRECTORY / f"{stem}.md"
    data.write_text(json.dumps({"machine": about, "questions": found}, indent=1) + "\n")
    text.write_text("\n".join(_lines(about, found, questions)) + "\n")
    return [data, text]


def _lines(
    about: dict[str, Any], found: dict[str, dict[str, Any]], questions: dict[str, str]
) -> list[str]:
    lines = [f"# The tracker, measured on {about['date'][:10]}", ""]
    command = f"python -m benchmarks.tracker {' '.join(sys.argv[1:])}"
    lines += [f"`{command}` at commit {about['commit'][:12]}.", ""]
    lines += [machine_line(about), ""]
    for name, figures in found.items():
        title, _, more = questions[name].strip().partition("\n")
        lines += [f"## {title}", "", more.strip(), "", "| figure | value |", "|---|---|"]
        lines += [f"| {label} | {value} |" for label, value in _rows(figures)]
        lines += ["", *_pairs(figures.get("runs", {}))]
    return lines


def _pairs(runs: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Return a table of the pairs of runs, in the order in which they were made."""
    if not runs:
        return []
    lines = ["| pair | opentracker, answers/s | ours, answers/s | ratio | by processor time |"]
    lines.append("|---|---|---|---|---|")
    pairs = zip(runs["opentracker"], runs["ours"], strict=True)
    for number, (other, ours) in enumerate(pairs, 1):
        rates = [run["answers_per_second"] for run in (other, ours)]
        ratios = [
            ours[name] / other[name] for name in ("answers_per_second", "answers_per_cpu_second")
        ]
        cells = [str(number), *map(_number, [*rates, *ratios])]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _rows(figures: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows = []
    for name, value in figures.items():
        label = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, dict) and value.keys() == {"min", "median", "max"}:
            spread = " / ".join(_number(value[key]) for key in ("min", "median", "max"))
            rows.append((f"{label}: min / median / max", spread))
        elif isinstance(value, dict) and name != "runs":
            rows += _rows(value, f"{label}: ")
        elif isinstance(value, int | float):
            rows.append((label, _number(value)))
    return rows


def _number(value: float) -> str:
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"
