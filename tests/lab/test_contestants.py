"""Every contestant brings an image to every host of a small lab."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from benchmarks.contestants.table import CONTESTANTS
from benchmarks.crowd import crowd
from benchmarks.lab.image import make
from benchmarks.lab.lab import running_lab
from benchmarks.lab.meter import metered
from benchmarks.lab.plan import MEGABIT, Shape
from swarm.deadline import within
from tests.other_clients import require

if TYPE_CHECKING:
    from benchmarks.lab.lab import Lab

SIZE = (4 << 20) + 4321
SHAPE = Shape(2, rate=100 * MEGABIT)

#: Whom a test is for; ourselves have tests of our own.
OTHERS = sorted(set(CONTESTANTS) - {"roles"})
#: What each runs that Python does not bring.
PROGRAMS = {
    "http": ("nginx", "curl"),
    "aria2": ("opentracker", "aria2c"),
    "transmission": ("opentracker", "transmission-daemon"),
    "qbittorrent": ("opentracker", "qbittorrent-nox"),
    "libtorrent": ("opentracker",),
}
#: transmission unchokes every ten seconds: one image has to do.
IMAGES = {"transmission": 1}


@pytest.mark.parametrize("name", OTHERS)
def test_it_brings_image_after_image_to_every_host(name: str) -> None:
    """The bytes are compared, and cross each host's link; former images are gone by the next."""
    for program in PROGRAMS.get(name, ()):
        require(program)

    async def run() -> None:
        async with running_lab(SHAPE) as lab, CONTESTANTS[name](lab) as distribution:
            for _ in range(IMAGES.get(name, 2)):
                done = await crowd(lab, distribution, make(lab.images, SIZE))
                assert done.files.keys() == {host.name for host in lab.hosts}
                assert min(done.reading.received[host.name] for host in lab.hosts) > SIZE
            assert len(list(lab.root(lab.hosts[0]).glob("*.raw"))) == 1

    asyncio.run(run())


def test_without_the_tracker_nothing_arrives() -> None:
    """The negative control: no DHT, no local discovery, no former peer brings hosts to a source."""
    require("opentracker")

    async def run() -> None:
        async with running_lab(SHAPE) as lab, CONTESTANTS["libtorrent"](lab) as distribution:
            image, host = make(lab.images, SIZE), lab.hosts[0]
            await distribution.offer(image)
            kill_tracker(lab)
            async with metered(lab) as reading:
                with pytest.raises(asyncio.TimeoutError):
                    await within(5, distribution.fetch(image, host))
            assert reading.received[host.name] < 50_000

    asyncio.run(run())


def kill_tracker(lab: Lab) -> None:
    """End the one process that is counted as a tracker."""
    (pid,) = (pid for pid, role in lab.roles.items() if role == "tracker")
    os.kill(pid, signal.SIGKILL)
