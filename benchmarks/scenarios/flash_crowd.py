"""How long until all of N hosts that ask at once have the image?

The last and the median host, as ratios to one plain TCP copy in the same lab; what the source sent,
in images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.contestants.table import CONTESTANTS
from benchmarks.crowd import crowd, discard
from benchmarks.lab.image import make
from benchmarks.scenario import Options, Target
from benchmarks.trial import trials

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from benchmarks.contestants.contract import Distribution
    from benchmarks.scenario import Run
    from benchmarks.trial import Trial


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


def measure(options: Options) -> AsyncGenerator[Run, None]:
    """Yield the runs, number of hosts by number of hosts."""
    return trials(options, one_crowd)


async def one_crowd(trial: Trial[Distribution]) -> Run:
    """Bring one image to all hosts at once."""
    image = make(trial.lab.images, trial.options.image_bytes)
    done = await crowd(trial.lab, trial.distribution, image, limit=trial.limit.seconds)
    discard(image, done.files.values())
    return trial.run(done)
