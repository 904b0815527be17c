"""How long until all of N hosts that ask at once have the image?

The last and the median host, as ratios to one plain TCP copy in the same lab; what the source sent,
in images.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from benchmarks.contestants.chain import copy
from benchmarks.contestants.table import CONTESTANTS
from benchmarks.crowd import crowd
from benchmarks.lab.image import make
from benchmarks.lab.lab import running_lab
from benchmarks.lab.plan import Shape
from benchmarks.scenario import Limit, Options, Target, failed, run_of
from swarm.errors import SwarmError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from benchmarks.lab.lab import Lab
    from benchmarks.scenario import Run

DEFAULTS = Options(
    hosts=(2, 4, 8, 16, 32),
    rate=32_000_000,
    contestants=tuple(CONTESTANTS),
)

TARGETS = (
    *(
        Target(f"{hosts} hosts, last host", "last", at_most=most, case={"hosts": hosts})
        for hosts, most in ((4, 1.02), (8, 1.03), (16, 1.04), (32, 1.06))
    ),
    Target("last host / median host", "last_to_median", at_most=1.05),
    Target("images that the source sent", "source_sent", at_most=1.05),
)


async def measure(options: Options) -> AsyncIterator[Run]:
    """Yield the runs, number of hosts by number of hosts."""
    for hosts in options.hosts:
        for contestant in options.contestants:
            shape = Shape(hosts, options.racks, options.rate, options.uplink)
            async with (
                running_lab(shape) as lab,
                contextlib.aclosing(_repeat(lab, options, contestant)) as runs,
            ):
                async for run in runs:
                    yield run


async def _repeat(lab: Lab, options: Options, contestant: str) -> AsyncGenerator[Run, None]:
    """Yield the runs of one contestant in one lab, which has its own limit."""
    limit = await limit_of(lab, options.image_bytes)
    case: dict[str, int | str] = {"hosts": len(lab.hosts)}
    try:
        async with CONTESTANTS[contestant](lab) as distribution:
            for _ in range(options.repeat):
                image = make(lab.images, options.image_bytes)
                done = await crowd(lab, distribution, image, limit=limit.seconds)
                yield run_of(contestant, case, done, limit)
    except SwarmError as error:
        yield failed(contestant, case, error)


async def limit_of(lab: Lab, size: int) -> Limit:
    """Return what one plain TCP copy of so many bytes takes, from the source to the first host."""
    async with copy(lab) as distribution:
        done = await crowd(lab, distribution, make(lab.images, size), hosts=lab.hosts[:1])
    return Limit(done.last, done.reading.sent["source"])
