"""Ending tasks for certain.

A task that is cancelled has not ended, and may not even have noticed: `asyncio.wait_for` up to
Python 3.11 can swallow a cancellation (see ``deadline.py``), and libraries use it. redis-py does
when it sends. So a task is cancelled until it has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

#: How long a task may take to end before it is cancelled once more.
_PATIENCE_SECONDS = 0.5


async def end(*tasks: asyncio.Future[Any]) -> list[BaseException]:
    """Cancel ``tasks`` and return once all have ended; returns what they raised of themselves."""
    pending: set[asyncio.Future[Any]] = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_PATIENCE_SECONDS)
    raised = (None if task.cancelled() else task.exception() for task in tasks)
    return [error for error in raised if error is not None]


async def first_end(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run all until the first of them ends, then end the others; raises what it raised."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await end(*tasks)


@contextlib.asynccontextmanager
async def running(coroutine: Coroutine[Any, Any, None], *, name: str) -> AsyncIterator[None]:
    """Run ``coroutine`` in a task during the block; raises at the end what it has raised."""
    task = asyncio.create_task(coroutine, name=name)
    try:
        yield
    finally:
        errors = await end(task)
    for error in errors:
        raise error
