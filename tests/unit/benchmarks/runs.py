"""Runs and reports as a measurement would leave them, for tests of what is made of them."""

from __future__ import annotations

from typing import Any

from benchmarks.report.document import Report
from benchmarks.scenario import Run, Target

MACHINE: dict[str, Any] = {
    "date": "2026-11-24T20:00:00+00:00",
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "processor": "a processor",
    "cores": 2,
    "memory_bytes": 8 << 30,
    "kernel": "6.1",
    "python": "3.11.7",
    "load_average": [0.5, 0.5, 0.5],
    "versions": {"libtorrent": "2.1.1", "rtorrent": "unknown"},
}
OPTIONS: dict[str, Any] = {
    "hosts": [2, 4],
    "racks": 1,
    "rate": 32_000_000,
    "uplink": 0,
    "image_bytes": 64 << 20,
    "repeat": 3,
    "contestants": ["roles", "chain"],
}


def run(
    last: float, *, contestant: str = "roles", hosts: int = 4, busy: float = 0.5, **figures: float
) -> Run:
    """Return a run whose last host took ``last`` limits of 10 s, and the others a little less."""
    names = [f"h{number + 1}" for number in range(hosts)]
    times = [number / 10 for number in range(int(last * 100) + 1)]
    return Run(
        contestant,
        {"hosts": hosts},
        {"last": last, "median": last * 0.99, **figures},
        busy,
        times=times,
        curves={name: [seconds / (10 * last) for seconds in times] for name in names},
        limit_seconds=10.0,
        completed={name: 10 * last * (1 - place / 100) for place, name in enumerate(names)},
    )


def failed(contestant: str, sentence: str, *, hosts: int = 4) -> Run:
    """Return the run of a contestant that failed."""
    return Run(contestant, {"hosts": hosts}, {}, 0.0, failure=sentence)


def report(*runs: Run, targets: tuple[Target, ...] = (), partial: str | None = None) -> Report:
    """Return a report of runs."""
    return Report(
        scenario="flash-crowd",
        question="How long until all have it?\n\nThe last host.",
        command="python -m benchmarks run flash-crowd",
        machine=dict(MACHINE),
        options=dict(OPTIONS),
        targets=targets,
        partial=partial,
        runs=list(runs),
    )
