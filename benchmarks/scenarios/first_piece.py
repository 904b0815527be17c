"""How long from a request to the first whole piece at its destination, on a link of 1 Gbit/s?

Case ``running`` 0: one host that does nothing else, image after image, each a new one. Case 10: one
more request while ten others run, as of an instance that boots while images are brought ahead of
time. There are no priorities yet, and an agent runs four transfers at one time: the request waits
for a slot. A piece counts when it is whole in the part file; there is a look every millisecond.
(The agent's own progress is told in steps of half a second.) An agent writes once it has a certain
number of bytes, here set to 1 MiB, so what is told is too late by the 8 ms in which they arrive.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from typing import TYPE_CHECKING

from benchmarks.crowd import discard
from benchmarks.lab.image import make
from benchmarks.lab.meter import metered
from benchmarks.lab.pieces import WRITES_SOON, whole_pieces
from benchmarks.scenario import Options, Run, Target
from benchmarks.trial import our_trials
from swarm.endings import end

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

    from benchmarks.contestants.roles import Roles
    from benchmarks.lab.image import Image
    from benchmarks.trial import Trial

_IMAGES = 50
_OTHERS = 10
_LOOK_SECONDS = 0.001

DEFAULTS = Options(hosts=(1,), rate=1_000_000_000, image_bytes=32 << 20)

TARGETS = (
    Target("idle host, p99, ms", "p99_ms", at_most=150, case={"running": 0}),
    Target("while ten others run, ms", "first_ms", at_most=300, case={"running": _OTHERS}),
)


async def measure(options: Options) -> AsyncGenerator[Run, None]:
    """Yield the runs, those of an idle host first."""
    for running, once in ((0, _idle), (_OTHERS, _busy)):
        runs = our_trials(options, once, case={"running": running}, agent=WRITES_SOON)
        async with contextlib.aclosing(runs):
            async for run in runs:
                yield run


async def _idle(trial: Trial[Roles]) -> Run:
    """Ask for one image after the other."""
    waits: list[float] = []
    busy: list[float] = []
    for _ in range(_IMAGES):
        image = make(trial.lab.images, trial.options.image_bytes)
        await trial.distribution.offer(image)
        async with metered(trial.lab) as reading:
            seconds, path = await _first_piece(trial, image)
        discard(image, [path])
        waits.append(1000 * seconds)
        busy.append(reading.busy)
    waits.sort()
    figures = {
        "p50_ms": statistics.median(waits),
        "p99_ms": waits[int(0.99 * len(waits))],
        "min_ms": waits[0],
        "max_ms": waits[-1],
    }
    return _run(trial, figures, statistics.mean(busy))


async def _busy(trial: Trial[Roles]) -> Run:
    """Ask for one more image while others are on their way."""
    lab, service = trial.lab, trial.distribution
    others = [make(lab.images, trial.options.image_bytes) for _ in range(_OTHERS)]
    image = make(lab.images, trial.options.image_bytes)
    for offered in (*others, image):
        await service.offer(offered)
    fetches = [asyncio.create_task(service.fetch(other, lab.hosts[0])) for other in others]
    try:
        async with metered(lab) as reading:
            await _until_there_is_a_piece(trial, others)
            seconds, path = await _first_piece(trial, image)
            paths = await asyncio.gather(*fetches)
    finally:
        await end(*fetches)
    discard(image, [path])
    for other, fetched in zip(others, paths, strict=True):
        discard(other, [fetched])
    return _run(trial, {"first_ms": 1000 * seconds}, reading.busy)


async def _first_piece(trial: Trial[Roles], image: Image) -> tuple[float, Path]:
    """Ask for an image; return the seconds to its first piece, and its file once it is whole."""
    start = time.perf_counter()
    asking = asyncio.create_task(trial.distribution.fetch(image, trial.lab.hosts[0]))
    try:
        # Its failure ends the wait too.
        looking = asyncio.create_task(_until_there_is_a_piece(trial, [image]))
        try:
            await asyncio.wait({asking, looking}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end(looking)
        return time.perf_counter() - start, await asking
    finally:
        await end(asking)


async def _until_there_is_a_piece(trial: Trial[Roles], images: list[Image]) -> None:
    directory = trial.lab.root(trial.lab.hosts[0])
    while not any(whole_pieces(image, directory) for image in images):
        await asyncio.sleep(_LOOK_SECONDS)


def _run(trial: Trial[Roles], figures: Mapping[str, float], busy: float) -> Run:
    return Run(trial.contestant, dict(trial.case), dict(figures), busy)
