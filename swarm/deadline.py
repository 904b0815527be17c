"""A time limit on an await, through which a cancellation always comes.

`asyncio.wait_for` of Python 3.10 and 3.11 returns the result, and forgets the cancellation, when
both come at once (python/cpython#86296): a cancelled loop goes on for ever, and whoever waits for
its end with it. So it is banned here (pyproject.toml).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from async_timeout import timeout

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")


async def within(seconds: float | None, work: Awaitable[T]) -> T:
    """Return what ``work`` returns; it is cancelled after ``seconds`` (None: never).

    Raises :class:`asyncio.TimeoutError`.
    """
    async with timeout(seconds):
        return await work
