"""The scenarios that say of the roles what no other test does, small: two or three hosts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from benchmarks.scenario import Options
from benchmarks.scenarios import boot_storm, seeder_leaves, shared, slow_host
from swarm.deadline import within

if TYPE_CHECKING:
    from benchmarks.scenario import Run, Scenario

SMALL = Options(hosts=(2,), rate=100_000_000, image_bytes=4 << 20, repeat=1)


def runs_of(scenario: Scenario, options: Options) -> list[Run]:
    """Return a scenario's runs, none of which may have failed."""

    async def measure() -> list[Run]:
        return [run async for run in scenario.measure(options)]

    runs = asyncio.run(within(50, measure()))
    assert [run.failure for run in runs] == [None] * len(runs)
    return runs


def test_ten_requests_at_a_host_are_one_download() -> None:
    """The others are copies of the first; every file has been compared with the image."""
    (run,) = runs_of(boot_storm, SMALL)
    assert 0.99 < run.figures["received"] < 1.5


def test_the_seeder_may_leave_once_every_piece_is_out() -> None:
    """Hosts that have but half of the image by then get the rest from those that have it."""
    (run,) = runs_of(seeder_leaves, SMALL)
    assert 0.99 < run.figures["source_sent"] < 2.1
    assert run.figures["late_last"] < 10


def test_a_slow_host_is_compared_with_none() -> None:
    """The case with it says how much slower the others were; it can't be fast itself."""
    without, with_it = runs_of(slow_host, SMALL)
    assert (without.case["slow"], with_it.case["slow"]) == (0, 1)
    assert "slowed" not in without.figures
    assert 0.5 < with_it.figures["slowed"] < 3
    least_seconds = SMALL.image_bytes * 8 / (SMALL.rate / 10)
    assert with_it.completed["h2"] > 0.95 * least_seconds
    assert with_it.figures["slow_last"] < 2


def test_what_is_shared_is_measured_by_what_is_new() -> None:
    """A host that fetches all of an image of which a tenth is new has fetched ten times that."""
    (run,) = runs_of(shared, SMALL)
    assert 0.99 < run.figures["received"] < 15
