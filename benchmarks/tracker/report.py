"""A dated report: what was asked, on what machine, with what versions, and the figures."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).parent / "reports"

_PACKAGES = ("aiohttp", "uvloop")
_DEBIAN = ("opentracker", "wrk", "gcc", "redis-server")


def machine() -> dict[str, Any]:
    """Return what a reader has to know of the machine and the programs."""
    return {
        "date": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        "commit": _said("git", "rev-parse", "HEAD"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": os.getloadavg(),
        "versions": {name: version(name) for name in _PACKAGES}
        | {name: _debian_version(name) for name in _DEBIAN},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _debian_version(name: str) -> str:
    return _said("dpkg-query", "--show", "--showformat=${Version}", name)


def _said(*words: str) -> str:
    path = shutil.which(words[0])
    if path is None:
        return "unknown"
    done = subprocess.run([path, *words[1:]], capture_output=True, text=True, check=False)  # noqa: S603 - ours
    return done.stdout.strip() or "unknown"


def write(found: dict[str, dict[str, Any]], questions: dict[str, str]) -> list[Path]:
    """Write the figures of each question as JSON, and as Markdown for people; return the files.

    ``questions`` are what their modules say of themselves: the question, then what to know of it.
    """
    DIRECTORY.mkdir(exist_ok=True)
    about = machine()
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
    lines += [
        f"{about['processor']}, {about['cores']} cores, {about['memory_bytes'] >> 30} GiB; "
        f"Linux {about['kernel']}; Python {about['python']}; "
        + ", ".join(f"{name} {said}" for name, said in about["versions"].items())
        + f". Load average at the end: {about['load_average'][0]:.2f}.",
        "",
    ]
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
