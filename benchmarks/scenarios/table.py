"""The scenarios by name: what `python -m benchmarks list` shows and `run` takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.scenarios import flash_crowd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.scenario import Scenario

SCENARIOS: Mapping[str, Scenario] = {
    "flash-crowd": flash_crowd,
}
