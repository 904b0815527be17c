"""Blocking work in threads that is never abandoned.

A thread can't be cancelled. If its coroutine just went away, the thread would write to a file
descriptor that has been closed and given to another file since. So a cancelled caller asks the
thread to stop, waits for it, and is cancelled then.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import threading
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


async def in_thread(work: Callable[[], T], *, stop: threading.Event | None = None) -> T:
    """Return what ``work`` returns; ``stop`` is set when nobody needs the result any more."""
    return await to_the_end(asyncio.get_running_loop().run_in_executor(None, work), stop=stop)


async def to_the_end(work: Awaitable[T], *, stop: threading.Event | None = None) -> T:
    """Await ``work``; a cancelled caller is cancelled only after ``work`` has ended."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if stop is not None:
            stop.set()
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # the cancellation comes first; mark the other as seen
        raise
