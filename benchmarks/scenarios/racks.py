"""What do racks with a narrow uplink cost: how often does the image cross it, and how late is it?

An uplink carries as much as two hosts' links, so that one copy for each rack costs no time, and two
do. Source and tracker stand in the first rack. ``uplink_into_rack`` is what came into the rack that
got most, in images. Without ``--racks`` it is asked for 2 racks, then for 4.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.scenario import Options, Target
from benchmarks.scenarios.flash_crowd import one_crowd
from benchmarks.trial import trials

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from benchmarks.scenario import Run

_RACKS = (2, 4)


DEFAULTS = Options(hosts=(16,), rate=32_000_000, uplink=64_000_000, contestants=("roles", "chain"))

TARGETS = tuple(
    target
    for racks in _RACKS
    for target in (
        Target(f"{racks} racks, last host", "last", at_most=1.10, case={"racks": racks}),
        Target(
            f"{racks} racks, images over an uplink",
            "uplink_into_rack",
            at_most=1.05,
            case={"racks": racks},
        ),
    )
)


async def measure(options: Options) -> AsyncGenerator[Run, None]:
    """Yield the runs, number of racks by number of racks."""
    for racks in _RACKS if options.racks == 1 else (options.racks,):
        runs = trials(replace(options, racks=racks), one_crowd, case={"racks": racks})
        async with contextlib.aclosing(runs):
            async for run in runs:
                yield run
