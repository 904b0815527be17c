"""By how much does one host at a tenth of the rate slow the others?

Measured without it (case ``slow`` 0: all links alike), then with it (1: the last host's link is
slow). ``others_last`` is the last of the other hosts, as a ratio to a plain copy; ``slowed`` the
same as a ratio to its median without the slow host. The slow host itself can't be done before ten
times the limit: ``slow_last`` is a ratio to that.
"""

from __future__ import annotations

import contextlib
import statistics
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.crowd import crowd, discard
from benchmarks.lab.image import make
from benchmarks.scenario import Options, Target
from benchmarks.trial import trials

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from benchmarks.contestants.contract import Distribution
    from benchmarks.scenario import Run
    from benchmarks.trial import Trial

#: The slow host's link is the others' divided by this.
_SLOWER = 10


DEFAULTS = Options(image_bytes=32 << 20)

TARGETS = (
    Target("the others / the same without a slow host", "slowed", at_most=1.03, case={"slow": 1}),
)


async def measure(options: Options) -> AsyncGenerator[Run, None]:
    """Yield the runs, first those without and then those with the slow host."""
    for hosts in options.hosts:
        for contestant in options.contestants:
            chosen = replace(options, hosts=(hosts,), contestants=(contestant,))
            without: list[float] = []
            for slow in (0, 1):
                rates = {hosts: options.rate // _SLOWER} if slow else {}
                runs = trials(chosen, _once, case={"slow": slow}, rates=rates)
                async with contextlib.aclosing(runs):
                    async for run in runs:
                        _compare(run, without)
                        yield run


async def _once(trial: Trial[Distribution]) -> Run:
    lab, limit = trial.lab, trial.limit.seconds
    image = make(lab.images, trial.options.image_bytes)
    done = await crowd(lab, trial.distribution, image, limit=limit)
    discard(image, done.files.values())
    run = trial.run(done)
    run.figures["others_last"] = done.of(lab.hosts[:-1])[-1] / limit
    if trial.case["slow"]:
        run.figures["slow_last"] = done.own[lab.hosts[-1].name] / (_SLOWER * limit)
    return run


def _compare(run: Run, without: list[float]) -> None:
    """Note a figure without the slow host, or compare one with it to the median of those."""
    if run.failure is not None:
        return
    last = run.figures["others_last"]
    if not run.case["slow"]:
        without.append(last)
    elif without:
        run.figures["slowed"] = last / statistics.median(without)
