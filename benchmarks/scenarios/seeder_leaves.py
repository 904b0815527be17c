"""Does everybody get the image if the seeder is killed once every piece is out, and how late?

Every second host asks at half the time that a plain copy takes (T/2), and so has but half of the
image when the seeder is killed (SIGKILL). That is at the moment at which each piece lies whole in
the file of some host: seen in the hosts' part files, a look every few hundredths of a second;
agents are set to write soon. ``left`` is when that was and ``source_sent`` what the seeder had sent
by then, which can't be less than one image; ``last`` and ``late_last`` are hosts from their own
start. All are ratios to one plain copy.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.crowd import PATIENCE_SECONDS, compare, discard, measured
from benchmarks.lab.image import make
from benchmarks.lab.pieces import WRITES_SOON, pieces_of, whole_pieces
from benchmarks.scenario import Options, Target
from benchmarks.trial import our_trials

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from benchmarks.contestants.roles import Roles
    from benchmarks.lab.image import Image
    from benchmarks.lab.lab import Lab
    from benchmarks.lab.plan import Host
    from benchmarks.scenario import Run
    from benchmarks.trial import Trial

_LOOK_SECONDS = 0.03
#: The step that takes the seeder away.
_LEAVES = "the seeder leaves"


DEFAULTS = Options()

TARGETS = (
    Target("images that the source had sent when it left", "source_sent", at_most=1.05),
    Target("last host, from its own start", "last", at_most=1.10),
)


async def measure(options: Options) -> AsyncGenerator[Run, None]:
    """Yield the runs, number of hosts by number of hosts; each repeat starts all roles anew."""
    for hosts in options.hosts:
        chosen = replace(options, hosts=(hosts,), repeat=1)
        for _ in range(options.repeat):
            runs = our_trials(chosen, _once, agent=WRITES_SOON)
            async with contextlib.aclosing(runs):
                async for run in runs:
                    yield run


async def _once(trial: Trial[Roles]) -> Run:
    lab, service, limit = trial.lab, trial.distribution, trial.limit.seconds
    image = make(lab.images, trial.options.image_bytes)
    await service.offer(image)
    files: list[Path] = []

    async def fetch(host: Host) -> None:
        files.append(await service.fetch(image, host))

    async def leave() -> None:
        await _until_all_is_out(lab, image)
        await service.leave_source()

    steps = {host.name: partial(fetch, host) for host in lab.hosts}
    delays = {host.name: limit / 2 for host in lab.hosts[1::2]}
    done = await measured(
        lab,
        {**steps, _LEAVES: leave},
        delays=delays,
        patience_seconds=PATIENCE_SECONDS + 5 * limit,
    )
    left = done.done.pop(_LEAVES)
    await compare(image, files)
    discard(image, files)
    run = trial.run(done)
    run.figures["left"] = left / limit
    run.figures["late_last"] = done.of(lab.hosts[1::2])[-1] / limit
    return run


async def _until_all_is_out(lab: Lab, image: Image) -> None:
    missing = pieces_of(image)
    while missing:
        for host in lab.hosts:
            missing -= whole_pieces(image, lab.root(host))
        await asyncio.sleep(_LOOK_SECONDS)
