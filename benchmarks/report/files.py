"""The files of a report: its data after every run, text and plots in the end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.report import plots
from benchmarks.report.document import encode
from benchmarks.report.markdown import markdown

if TYPE_CHECKING:
    from benchmarks.report.document import Report

#: Where reports go unless told otherwise.
RESULTS = Path(__file__).parents[1] / "results"


class Files:
    """The files of one report, with a name that no other report has."""

    def __init__(self, report: Report, directory: Path) -> None:
        self._report = report
        self._directory = directory
        self.stem = _unused(directory, report.stem)

    @property
    def data(self) -> Path:
        """The JSON."""
        return self._directory / f"{self.stem}.json"

    def save(self) -> None:
        """Write the data: what was measured is not lost, whatever comes."""
        self._report.machine["load_average"] = os.getloadavg()
        self._directory.mkdir(parents=True, exist_ok=True)
        hidden = self.data.with_name(f".{self.data.name}")
        hidden.write_text(encode(self._report))
        hidden.replace(self.data)

    def finish(self, partial: str | None) -> list[Path]:
        """Write everything, unless there is nothing; ``partial`` says why runs are missing."""
        if not self._report.runs:
            return []
        self._report.partial = partial
        self.save()
        return [self.data, *render(self._report, self._directory, self.stem)]


def render(report: Report, directory: Path, stem: str) -> list[Path]:
    """Write what is made of a report's data, and return the files: text and plots."""
    drawn = plots.draw(report, directory, stem)
    text = directory / f"{stem}.md"
    text.write_text(markdown(report, drawn))
    return [text, *drawn]


def _unused(directory: Path, stem: str) -> str:
    """Return a name of which there is no report yet: the second of a day has number 2."""
    number, found = 1, stem
    while (directory / f"{found}.json").exists():
        number += 1
        found = f"{stem}-{number}"
    return found
