"""One image to many hosts, measured: the step that most scenarios are made of."""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.lab.image import sha256
from benchmarks.lab.meter import Reading, metered
from swarm.deadline import within
from swarm.endings import end
from swarm.errors import RoleFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.contestants.contract import Distribution
    from benchmarks.lab.image import Image
    from benchmarks.lab.lab import Lab
    from benchmarks.lab.plan import Host

_LOG = logging.getLogger(__name__)
#: A run that takes so many times the limit is given up.
_PATIENCE = 60.0
_LEAST_PATIENCE_SECONDS = 60.0
#: A machine that is busier than this is what was measured, and not the swarm.
_MOST_BUSY = 0.9


@dataclass
class Crowd:
    """How one crowd fared. Seconds are from the start of the run, but for ``own``."""

    reading: Reading
    #: Of each host, when its file was there and when it was asked for.
    done: dict[str, float] = field(default_factory=dict)
    asked: dict[str, float] = field(default_factory=dict)
    #: What was brought, by host; compared with the image.
    files: dict[str, Path] = field(default_factory=dict)

    @property
    def own(self) -> dict[str, float]:
        """Seconds that each host took from its own start."""
        return {name: end - self.asked[name] for name, end in self.done.items()}

    @property
    def last(self) -> float:
        """Seconds of the last host."""
        return max(self.done.values())

    @property
    def median(self) -> float:
        """Seconds of the median host."""
        return statistics.median(self.done.values())

    @property
    def is_cpu_bound(self) -> bool:
        """Whether the machine was too busy for the figures to count."""
        return self.reading.busy > _MOST_BUSY


async def crowd(
    lab: Lab,
    distribution: Distribution,
    image: Image,
    *,
    hosts: Sequence[Host] | None = None,
    delays: Mapping[str, float] | None = None,
    limit: float | None = None,
) -> Crowd:
    """Bring an image to hosts, by default to all and at once, and compare what arrived.

    ``delays`` are the seconds after which hosts ask; ``limit`` those that a plain copy takes, after
    many of which a contestant is given up. Raises :class:`~swarm.errors.RoleFailed` then, and if a
    file is not the image.
    """
    wanting = lab.hosts if hosts is None else hosts
    hosts_text = f"{len(wanting)} host{'s' * (len(wanting) != 1)}"
    what = f"{type(distribution).__name__}, {image.size >> 20} MiB to {hosts_text}"
    _LOG.info("%s: getting ready", what)
    await distribution.offer(image)
    _LOG.info("%s: measuring", what)
    patience = max(_LEAST_PATIENCE_SECONDS, _PATIENCE * (limit or 0.0))
    async with metered(lab) as reading:
        result = Crowd(reading)
        fetching = _fetch_all(distribution, image, wanting, delays or {}, result)
        try:
            await within(patience, fetching)
        except asyncio.TimeoutError:
            raise RoleFailed(f"not done after {patience:.0f} s") from None
    await asyncio.to_thread(_compare, image, result)
    return result


async def _fetch_all(
    distribution: Distribution,
    image: Image,
    hosts: Sequence[Host],
    delays: Mapping[str, float],
    result: Crowd,
) -> None:
    start = time.monotonic()

    async def fetch(host: Host) -> None:
        await asyncio.sleep(delays.get(host.name, 0.0))
        result.asked[host.name] = time.monotonic() - start
        result.files[host.name] = await distribution.fetch(image, host)
        result.done[host.name] = time.monotonic() - start

    tasks = [asyncio.create_task(fetch(host), name=f"fetch at {host.name}") for host in hosts]
    try:
        await asyncio.gather(*tasks)
    finally:
        await end(*tasks)


def _compare(image: Image, result: Crowd) -> None:
    for name, path in result.files.items():
        if sha256(path) != image.sha256:
            raise RoleFailed(f"{name}: {path} is not the image that was offered")
