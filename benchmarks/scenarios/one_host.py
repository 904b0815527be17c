"""What does the engine cost: one host on an unshaped link, beside curl and a plain copy?

Megabytes (10^6) per second from the request to the file, and processor seconds per GiB at the
receiver. ``http+sha256`` is curl and then `openssl dgst -sha256` over the file: what a host pays
that does not believe the wire, as we do not. ``cpu_to_http_sha256`` is our agent's processor time
over the median of that. The processor is what is measured, so a busy machine is as it should be.
"""

from __future__ import annotations

import contextlib
import statistics
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.crowd import compare, discard, measured, patience
from benchmarks.lab.image import make
from benchmarks.scenario import Options, Target
from benchmarks.trial import trials

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

    from benchmarks.contestants.contract import Distribution
    from benchmarks.scenario import Run
    from benchmarks.trial import Trial

#: A program that has ended is known only by its last sample: here all of them end soon.
_SAMPLE_SECONDS = 0.02
_HTTP = "http"
_HASHED = "http+sha256"
_CPU = "cpu_seconds_per_gib_agent"

DEFAULTS = Options(hosts=(1,), rate=0, image_bytes=1 << 30, contestants=(_HTTP, "roles", "chain"))

TARGETS = (
    Target("MB/s", "megabytes_per_second", at_least=400),
    Target("processor time / curl and one SHA-256", "cpu_to_http_sha256", at_most=1.1),
)


async def measure(options: Options) -> AsyncGenerator[Run, None]:
    """Yield the runs; those of `http` come first, as others are compared with them."""
    yardstick: list[float] = []
    for contestant in sorted(options.contestants, key=lambda name: name != _HTTP):
        chosen = replace(options, contestants=(contestant,))
        for once in (_once, _hashed_once) if contestant == _HTTP else (_once,):
            runs = trials(chosen, once)
            async with contextlib.aclosing(runs):
                async for run in runs:
                    _compare(run, yardstick)
                    yield run


async def _once(trial: Trial[Distribution]) -> Run:
    return await _measured(trial)


async def _hashed_once(trial: Trial[Distribution]) -> Run:
    async def hash_it(path: Path) -> None:
        command = ["openssl", "dgst", "-sha256", path]
        async with trial.lab.process(trial.lab.hosts[0], "agent", command) as hashing:
            await hashing.succeeded()

    return await _measured(replace(trial, contestant=_HASHED), hash_it)


async def _measured(
    trial: Trial[Distribution], then: Callable[[Path], Awaitable[None]] | None = None
) -> Run:
    """Bring an image to one host, ``then`` do more with it there."""
    lab, size = trial.lab, trial.options.image_bytes
    image, host = make(lab.images, size), lab.hosts[0]
    await trial.distribution.offer(image)
    files: list[Path] = []

    async def fetch() -> None:
        files.append(await trial.distribution.fetch(image, host))
        if then is not None:
            await then(files[0])

    done = await measured(
        lab,
        {host.name: fetch},
        patience_seconds=patience(trial.limit.seconds),
        sample_seconds=_SAMPLE_SECONDS,
    )
    await compare(image, files)
    discard(image, files)
    run = trial.run(done)
    run.is_about_cpu = True
    run.figures["megabytes_per_second"] = size / 1e6 / done.last
    return run


def _compare(run: Run, yardstick: list[float]) -> None:
    """Note the processor time of the yardstick, or compare our own with its median."""
    if run.failure is not None:
        return
    if run.contestant == _HASHED:
        yardstick.append(run.figures[_CPU])
    elif run.contestant == "roles" and yardstick:
        run.figures["cpu_to_http_sha256"] = run.figures[_CPU] / statistics.median(yardstick)
