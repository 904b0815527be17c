"""How long until all hosts have ten images that they ask for at once?

The limit is ten copies one after the other over a host's link. A host that is slow to start its
next image, or torrents that hinder each other, cost time here. All figures are of the ten together.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.crowd import compare, discard, measured, patience
from benchmarks.lab.image import make
from benchmarks.scenario import Options, Target
from benchmarks.trial import trials

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from benchmarks.contestants.contract import Distribution
    from benchmarks.lab.plan import Host
    from benchmarks.scenario import Run
    from benchmarks.trial import Trial

IMAGES = 10


DEFAULTS = Options(image_bytes=16 << 20)

TARGETS = (
    Target("last host", "last", at_most=1.05),
    Target("what the source sent / the images", "source_sent", at_most=1.05),
)


def measure(options: Options) -> AsyncGenerator[Run, None]:
    """Yield the runs, number of hosts by number of hosts."""
    return trials(options, _once, case={"images": IMAGES}, limit_bytes=IMAGES * options.image_bytes)


async def _once(trial: Trial[Distribution]) -> Run:
    lab, distribution = trial.lab, trial.distribution
    images = [make(lab.images, trial.options.image_bytes) for _ in range(IMAGES)]
    for image in images:
        await distribution.offer(image)
    files: dict[str, list[Path]] = {image.id: [] for image in images}

    async def fetch_all(host: Host) -> None:
        found = await asyncio.gather(*(distribution.fetch(image, host) for image in images))
        for image, path in zip(images, found, strict=True):
            files[image.id].append(path)

    steps = {host.name: partial(fetch_all, host) for host in lab.hosts}
    done = await measured(lab, steps, patience_seconds=patience(trial.limit.seconds))
    for image in images:
        await compare(image, files[image.id])
        discard(image, files[image.id])
    return trial.run(done)
