"""Waiting for a condition with a deadline: what tests do instead of sleeping."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_LOOK_SECONDS = 0.02


async def until(condition: Callable[[], bool], *, what: str, seconds: float = 20.0) -> None:
    """Return once ``condition()`` holds; fail with ``what`` after ``seconds``."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition():
        assert loop.time() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(_LOOK_SECONDS)


async def until_async(
    condition: Callable[[], Awaitable[bool]], *, what: str, seconds: float = 20.0
) -> None:
    """As :func:`until`, for a condition that has to be awaited."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not await condition():
        assert loop.time() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(_LOOK_SECONDS)
