"""The scenarios by name: what `python -m benchmarks list` shows and `run` takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.scenarios import (
    boot_storm,
    first_piece,
    flash_crowd,
    join_storm,
    large_image,
    late_joiners,
    one_host,
    racks,
    seeder_leaves,
    shared,
    slow_host,
    sparse,
    ten_images,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.scenario import Scenario

SCENARIOS: Mapping[str, Scenario] = {
    "flash-crowd": flash_crowd,
    "late-joiners": late_joiners,
    "racks": racks,
    "ten-images": ten_images,
    "slow-host": slow_host,
    "seeder-leaves": seeder_leaves,
    "one-host": one_host,
    "large-image": large_image,
    "first-piece": first_piece,
    "boot-storm": boot_storm,
    "sparse": sparse,
    "shared": shared,
    "join-storm": join_storm,
}
