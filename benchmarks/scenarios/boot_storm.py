"""Do ten requests at each host for one image cost one download a host?

As when ten instances of one image are booted on each host at once: each asks for a file of its own,
all in one directory. ``received`` is what the host that received most received, in images; all
files are compared with the image.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.crowd import compare, discard, measured, patience
from benchmarks.lab.image import make
from benchmarks.scenario import Options, Target
from benchmarks.trial import our_trials

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from benchmarks.contestants.roles import Roles
    from benchmarks.lab.plan import Host
    from benchmarks.scenario import Run
    from benchmarks.trial import Trial

_REQUESTS = 10


DEFAULTS = Options(image_bytes=32 << 20)

TARGETS = (
    Target("images that a host received, at most", "received", at_most=1.05),
    Target("last file of the last host", "last", at_most=1.10),
)


def measure(options: Options) -> AsyncGenerator[Run, None]:
    """Yield the runs, number of hosts by number of hosts."""
    return our_trials(options, _once, case={"requests_per_host": _REQUESTS})


async def _once(trial: Trial[Roles]) -> Run:
    lab, service = trial.lab, trial.distribution
    image = make(lab.images, trial.options.image_bytes)
    await service.offer(image)
    names = [f"{number}-{image.path.name}" for number in range(_REQUESTS)]
    files: list[Path] = []

    async def boot(host: Host) -> None:
        requests = (service.request(image, host, name=name) for name in names)
        files.extend(await asyncio.gather(*requests))

    steps = {host.name: partial(boot, host) for host in lab.hosts}
    done = await measured(lab, steps, patience_seconds=patience(trial.limit.seconds))
    await compare(image, files)
    discard(image, files)
    run = trial.run(done)
    run.figures["received"] = done.received_most(lab.hosts) / trial.limit.sent
    return run
