"""A pipelined chain, as LANTorrent has it: each host passes on what it receives, to one other.

Nothing is faster while nothing goes wrong; when one host goes, so does the rest. The chain of one
host is a plain TCP copy, the limit that all figures are compared with.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.contestants import relay
from swarm.errors import RoleFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AsyncExitStack
    from pathlib import Path

    from benchmarks.lab.image import Image
    from benchmarks.lab.lab import Lab, Started
    from benchmarks.lab.plan import Host

_PROGRAM = (sys.executable, "-S", relay.__file__)
_PORT = "7000"
_START_SECONDS = 10.0
_LOOK_SECONDS = 0.02


class Chain:
    """The hosts in their order; all of them have to fetch."""

    def __init__(self, lab: Lab, hosts: Sequence[Host], programs: AsyncExitStack) -> None:
        self._lab = lab
        self._hosts = hosts
        self._programs = programs
        self._receivers: dict[str, Started] = {}

    async def offer(self, image: Image) -> None:
        """Have every host listen for its predecessor."""
        await self._programs.aclose()
        for host, following in zip(self._hosts, (*self._hosts[1:], None), strict=True):
            onward = [] if following is None else [following.address, _PORT]
            target = self._target(image, host)
            # Removed with the next offer: repeats would fill the memory.
            self._programs.callback(target.unlink, missing_ok=True)
            receive = [*_PROGRAM, "receive", target, str(image.size), _PORT, *onward]
            running = self._lab.process(host, "agent", receive)
            receiver = await self._programs.enter_async_context(running)
            self._receivers[host.name] = receiver
            await _listening(receiver)

    async def fetch(self, image: Image, host: Host) -> Path:
        """Wait for a host's file; for the first host, the source sends."""
        receiver = self._receivers[host.name]
        if host is not self._hosts[0]:
            await receiver.succeeded()
            return self._target(image, host)
        send = [*_PROGRAM, "send", image.path, host.address, _PORT]
        async with self._lab.process(self._lab.plan.source, "seeder", send) as sending:
            await asyncio.gather(sending.succeeded(), receiver.succeeded())
        return self._target(image, host)

    def _target(self, image: Image, host: Host) -> Path:
        return self._lab.root(host) / image.path.name


async def _listening(receiver: Started) -> None:
    """Wait until a receiver has said that it listens."""
    deadline = time.monotonic() + _START_SECONDS
    while relay.LISTENS not in receiver.words():
        if receiver.process.returncode is not None or time.monotonic() > deadline:
            raise RoleFailed(f"relay at {receiver.host.name}: {receiver.words()}")
        await asyncio.sleep(_LOOK_SECONDS)


@contextlib.asynccontextmanager
async def chain(lab: Lab) -> AsyncIterator[Chain]:
    """Chain all hosts of a lab."""
    async with contextlib.AsyncExitStack() as programs:
        yield Chain(lab, lab.hosts, programs)


@contextlib.asynccontextmanager
async def copy(lab: Lab) -> AsyncIterator[Chain]:
    """Copy to the first host alone."""
    async with contextlib.AsyncExitStack() as programs:
        yield Chain(lab, lab.hosts[:1], programs)
