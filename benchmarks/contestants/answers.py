"""Waiting for a program of other people's until it answers."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

import aiohttp

from swarm.errors import RoleFailed, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benchmarks.lab.lab import Started

T = TypeVar("T")

_READY_SECONDS = 30.0
_LOOK_SECONDS = 0.05


async def first_answer(program: Started, ask: Callable[[], Awaitable[T]]) -> T:
    """Return what ``ask`` returns once it can connect.

    Raises :class:`~swarm.errors.RoleFailed` if the program ends, or does not answer in time.
    """
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            return await ask()
        except (aiohttp.ClientError, OSError, Unavailable) as error:
            ended = program.process.returncode is not None
            if ended or time.monotonic() > deadline:
                raise RoleFailed(
                    f"{program.role} at {program.host.name} does not answer:\n{program.words()}"
                ) from error
        await asyncio.sleep(_LOOK_SECONDS)
