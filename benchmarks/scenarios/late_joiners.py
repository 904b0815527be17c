"""How do hosts fare that ask when the others are half done, and how do those others?

Every second host asks at half the time that a plain copy takes (T/2), as when a second batch of
instances is started. Seconds are from each host's own start, as ratios to T: nothing is lost if
neither the early nor the late ones need more than T.
"""

from __future__ import annotations

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


DEFAULTS = Options()

TARGETS = (
    Target("late hosts, from their own start", "late_last", at_most=1.03),
    Target("early hosts", "early_last", at_most=1.05),
)


def measure(options: Options) -> AsyncGenerator[Run, None]:
    """Yield the runs, number of hosts by number of hosts."""
    return trials(options, _once)


async def _once(trial: Trial[Distribution]) -> Run:
    lab, limit = trial.lab, trial.limit.seconds
    early, late = lab.hosts[::2], lab.hosts[1::2]
    image = make(lab.images, trial.options.image_bytes)
    delays = {host.name: limit / 2 for host in late}
    done = await crowd(lab, trial.distribution, image, delays=delays, limit=limit)
    discard(image, done.files.values())
    run = trial.run(done)
    run.figures["late_last"] = done.of(late)[-1] / limit
    run.figures["early_last"] = done.of(early)[-1] / limit
    return run
