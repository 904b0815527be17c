"""What a person sees while the lab measures: a line for each run, and what it is at.

On a terminal the last line turns; elsewhere there are only lines. Nothing runs in a thread: hosts'
processes are forked from here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from typing import TYPE_CHECKING

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks.quantities import number_text
from benchmarks.report.summary import case_text
from swarm.endings import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from rich.console import Console

    from benchmarks.report.document import Report
    from benchmarks.scenario import Run

_REFRESH_SECONDS = 0.5
_BENCHMARKS = logging.getLogger("benchmarks")


class Watch:
    """Tells of one scenario's measurement; :func:`watched` makes it."""

    def __init__(self, report: Report, console: Console) -> None:
        self._report = report
        self._console = console
        self._counts: Counter[str] = Counter()

    def tell(self, run: Run) -> None:
        """Say what a run has come to."""
        who = f"{case_text(run.case)}, {run.contestant}"
        self._counts[who] += 1
        number = f"{self._counts[who]}/{self._report.options['repeat']}"
        self._console.print(
            f"{self._report.scenario}: {who} {number}: {_words(run)}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def _words(run: Run) -> str:
    if run.failure is not None:
        return f"failed: {run.failure}"
    names = [name for name in ("last", "median") if name in run.figures] or list(run.figures)[:2]
    told = ", ".join(f"{name} {number_text(run.figures[name])}" for name in names)
    return f"{told}; CPU {run.busy * 100:.0f} % busy" + " (does not count)" * run.is_cpu_bound


class _Status(logging.Handler):
    """Shows what the lab logs in the line that turns."""

    def __init__(self, progress: Progress, scenario: str) -> None:
        super().__init__(logging.INFO)
        self._progress = progress
        self._scenario = scenario
        self._task = progress.add_task(scenario, total=None)

    def emit(self, record: logging.LogRecord) -> None:
        said = f"{self._scenario}: {record.getMessage()}"
        self._progress.update(self._task, description=said)


@contextlib.asynccontextmanager
async def watched(report: Report, console: Console) -> AsyncIterator[Watch]:
    """Show what is measured during the block."""
    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    progress = Progress(*columns, console=console, auto_refresh=False, transient=True)
    with progress:
        handler = _Status(progress, report.scenario)
        _BENCHMARKS.addHandler(handler)
        _BENCHMARKS.setLevel(logging.INFO)
        try:
            async with running(_refresh(progress), name="progress"):
                yield Watch(report, console)
        finally:
            _BENCHMARKS.removeHandler(handler)


async def _refresh(progress: Progress) -> None:
    while True:
        progress.refresh()
        await asyncio.sleep(_REFRESH_SECONDS)
