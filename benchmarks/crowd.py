"""Images to many hosts, measured: the step that most scenarios are made of.

:func:`crowd` is one image to each host; :func:`measured` whatever else a scenario has its hosts do.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.lab.meter import SAMPLE_SECONDS, Reading, metered
from swarm.deadline import within
from swarm.endings import end
from swarm.errors import RoleFailed
from swarm.hashing import digest_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.contestants.contract import Distribution
    from benchmarks.lab.image import Image
    from benchmarks.lab.lab import Lab
    from benchmarks.lab.plan import Host

_LOG = logging.getLogger(__name__)
#: A run that takes so many times the limit is given up.
_PATIENCE = 60.0
PATIENCE_SECONDS = 60.0


def patience(limit_seconds: float) -> float:
    """Return the seconds after which a contestant is given up where a plain copy takes so many."""
    return max(PATIENCE_SECONDS, _PATIENCE * limit_seconds)


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

    def of(self, hosts: Iterable[Host]) -> list[float]:
        """Return the seconds that some of the hosts took from their own start, in order."""
        return sorted(self.own[host.name] for host in hosts)

    def received_most(self, hosts: Iterable[Host]) -> int:
        """Return the bytes of frames that came to the host to which most came."""
        return max(self.reading.received[host.name] for host in hosts)


async def crowd(
    lab: Lab,
    distribution: Distribution,
    image: Image,
    *,
    hosts: Sequence[Host] | None = None,
    delays: Mapping[str, float] | None = None,
    limit: float | None = None,
    sample_seconds: float = SAMPLE_SECONDS,
) -> Crowd:
    """Bring an image to hosts, by default to all and at once, and compare what arrived.

    ``delays`` and ``sample_seconds`` are as in :func:`measured`; ``limit`` are the seconds that a
    plain copy takes, after many of which a contestant is given up. Raises
    :class:`~swarm.errors.RoleFailed` then, and if a file is not the image.
    """
    wanting = lab.hosts if hosts is None else hosts
    hosts_text = f"{len(wanting)} host{'s' * (len(wanting) != 1)}"
    what = f"{type(distribution).__name__}, {image.size >> 20} MiB to {hosts_text}"
    _LOG.info("%s: getting ready", what)
    await distribution.offer(image)
    files: dict[str, Path] = {}

    async def fetch(host: Host) -> None:
        files[host.name] = await distribution.fetch(image, host)

    _LOG.info("%s: measuring", what)
    result = await measured(
        lab,
        {host.name: partial(fetch, host) for host in wanting},
        delays=delays,
        patience_seconds=patience(limit or 0.0),
        sample_seconds=sample_seconds,
    )
    result.files = files
    await compare(image, files.values())
    return result


async def measured(
    lab: Lab,
    steps: Mapping[str, Callable[[], Awaitable[None]]],
    *,
    delays: Mapping[str, float] | None = None,
    patience_seconds: float = PATIENCE_SECONDS,
    sample_seconds: float = SAMPLE_SECONDS,
) -> Crowd:
    """Take all steps at once, each under its name, such as its host's, and measure them.

    ``delays`` are the seconds after which steps begin. Raises :class:`~swarm.errors.RoleFailed` if
    they are not all done within ``patience_seconds``.
    """
    async with metered(lab, sample_seconds=sample_seconds) as reading:
        result = Crowd(reading)
        try:
            await within(patience_seconds, _take_all(steps, delays or {}, result))
        except asyncio.TimeoutError:
            raise RoleFailed(
                f"not done after {patience_seconds:.0f} s: {len(result.done)} of {len(steps)} were"
            ) from None
    return result


async def _take_all(
    steps: Mapping[str, Callable[[], Awaitable[None]]],
    delays: Mapping[str, float],
    result: Crowd,
) -> None:
    start = time.monotonic()

    async def take(name: str) -> None:
        await asyncio.sleep(delays.get(name, 0.0))
        result.asked[name] = time.monotonic() - start
        await steps[name]()
        result.done[name] = time.monotonic() - start

    tasks = [asyncio.create_task(take(name), name=f"step of {name}") for name in steps]
    try:
        await asyncio.gather(*tasks)
    finally:
        await end(*tasks)


async def compare(image: Image, files: Iterable[Path]) -> None:
    """Raise :class:`~swarm.errors.RoleFailed` if a file is not the image."""
    for path in files:
        if await asyncio.to_thread(digest_of, path, "sha256") != image.sha256:
            raise RoleFailed(f"{path} is not the image that was offered")


def discard(image: Image, files: Iterable[Path]) -> None:
    """Remove an image and what was brought of it: all of that is memory, and runs are many."""
    for path in (image.path, *files):
        path.unlink(missing_ok=True)
