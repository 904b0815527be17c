"""Does an agent's memory grow with the image?

An image of 4 GiB to one host on an unshaped link, where data come as fast as the agent takes them;
the peak is the kernel's own figure (VmHWM). Source and host hold the image in memory: 8 GiB are
needed. The processor is busy here, and that is no reason to doubt the figure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.scenario import Options, Target
from benchmarks.scenarios.flash_crowd import one_crowd
from benchmarks.trial import trials

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from benchmarks.contestants.contract import Distribution
    from benchmarks.scenario import Run
    from benchmarks.trial import Trial

DEFAULTS = Options(hosts=(1,), rate=0, image_bytes=4 << 30, repeat=3)

TARGETS = (Target("peak memory of an agent, MiB", "peak_mib_agent", at_most=150),)


def measure(options: Options) -> AsyncGenerator[Run, None]:
    """Yield the runs, number of hosts by number of hosts."""
    return trials(options, _once)


async def _once(trial: Trial[Distribution]) -> Run:
    run = await one_crowd(trial)
    run.is_about_cpu = True
    return run
