"""Every contestant brings an image to every host of a small lab."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.contestants.table import CONTESTANTS
from benchmarks.crowd import crowd
from benchmarks.lab.image import make
from benchmarks.lab.lab import running_lab
from benchmarks.lab.plan import MEGABIT, Shape
from tests.other_clients import require

SIZE = (4 << 20) + 4321
SHAPE = Shape(2, rate=100 * MEGABIT)

#: What each runs that Python does not bring.
PROGRAMS = {
    "http": ("nginx", "curl"),
}


@pytest.mark.parametrize("name", CONTESTANTS)
def test_it_brings_image_after_image_to_every_host(name: str) -> None:
    """Two images one after the other; the bytes are compared, and cross each host's link."""
    for program in PROGRAMS.get(name, ()):
        require(program)

    async def run() -> None:
        async with running_lab(SHAPE) as lab, CONTESTANTS[name](lab) as distribution:
            for _ in range(2):
                done = await crowd(lab, distribution, make(lab.images, SIZE))
                assert done.files.keys() == {host.name for host in lab.hosts}
                assert min(done.reading.received[host.name] for host in lab.hosts) > SIZE

    asyncio.run(run())
