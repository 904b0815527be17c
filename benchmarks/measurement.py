"""One scenario, measured and reported, whatever ends it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from benchmarks.progress import watched
from benchmarks.report.files import Files
from swarm.errors import SwarmError

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from benchmarks.report.document import Report
    from benchmarks.scenario import Options, Scenario


async def measure(
    scenario: Scenario, options: Options, report: Report, directory: Path, console: Console
) -> list[Path]:
    """Put a scenario's runs into a report, and return the report's files.

    It is written too when the measurement is cancelled or fails, and then says so; whatever is
    raised is raised again then.
    """
    files = Files(report, directory)
    partial: str | None = "it was interrupted"
    try:
        async with (
            watched(report, console) as watch,
            # Closed, so that a lab in it is gone at once when we stop listening.
            contextlib.aclosing(scenario.measure(options)) as runs,
        ):
            async for run in runs:
                report.runs.append(run)
                watch.tell(run)
                files.save()
        partial = None
    except Exception as error:
        partial = error.detail if isinstance(error, SwarmError) else f"it failed: {error!r}"
        raise
    finally:
        written = files.finish(partial)
        for path in written:
            console.print(f"written: {path}", highlight=False, markup=False, soft_wrap=True)
    return written
