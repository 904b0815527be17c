"""Of a new image that shares nine tenths with one that hosts have, is only the rest downloaded?

All hosts have the old image, and ask for the new one at once. All ratios are to the new data:
``last`` to a plain copy of so many bytes; ``received`` is what the host that received most
received, in such copies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.crowd import crowd, discard
from benchmarks.lab.image import alter, make
from benchmarks.scenario import Options, Target
from benchmarks.trial import trials

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from benchmarks.contestants.contract import Distribution
    from benchmarks.scenario import Run
    from benchmarks.trial import Trial

_NEW_SHARE = 0.1


DEFAULTS = Options(hosts=(4,))

TARGETS = (Target("bytes received / new data", "received", at_most=1.05),)


def measure(options: Options) -> AsyncGenerator[Run, None]:
    """Yield the runs, number of hosts by number of hosts."""
    return trials(options, _once, limit_bytes=int(options.image_bytes * _NEW_SHARE))


async def _once(trial: Trial[Distribution]) -> Run:
    lab = trial.lab
    old = make(lab.images, trial.options.image_bytes)
    before = await crowd(lab, trial.distribution, old)
    new = alter(old, share=_NEW_SHARE)
    done = await crowd(lab, trial.distribution, new)
    discard(old, before.files.values())
    discard(new, done.files.values())
    run = trial.run(done)
    run.figures["received"] = done.received_most(lab.hosts) / trial.limit.sent
    return run
