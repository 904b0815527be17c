"""Of an image that is nine tenths hole, do only the data go over the wire, and do holes stay holes?

All ratios are to the data: ``last`` to a plain copy of so many bytes, ``received`` what the host
that received most received, in such copies; ``allocated`` is what the largest file takes in its
file system, over the data. Data come in stretches, as file systems on a disk lay them: a tenth of
every 64 MiB.
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

_SHARE = 0.1
_STRETCH_BYTES = 64 << 20
#: Of st_blocks.
_BLOCK_BYTES = 512


DEFAULTS = Options(hosts=(4,), image_bytes=256 << 20)

TARGETS = (
    Target("bytes received / data in the image", "received", at_most=1.02),
    Target("bytes on the disk / data in the image", "allocated", at_most=1.02),
)


def measure(options: Options) -> AsyncGenerator[Run, None]:
    """Yield the runs, number of hosts by number of hosts."""
    return trials(options, _once, limit_bytes=int(options.image_bytes * _SHARE))


async def _once(trial: Trial[Distribution]) -> Run:
    lab, size = trial.lab, trial.options.image_bytes
    image = make(lab.images, size, data_share=_SHARE, stretch_bytes=_STRETCH_BYTES)
    done = await crowd(lab, trial.distribution, image, limit=trial.limit.seconds)
    largest = max(path.stat().st_blocks for path in done.files.values()) * _BLOCK_BYTES
    discard(image, done.files.values())
    run = trial.run(done)
    run.figures["received"] = done.received_most(lab.hosts) / trial.limit.sent
    run.figures["allocated"] = largest / image.data
    return run
