"""Ctrl-C and SIGTERM unwind a measurement: what it has made is removed by who made it."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """A signal has ended the work, which has cleaned up."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.status = 128 + number


async def interruptible(work: Coroutine[Any, Any, T]) -> T:
    """Return what ``work`` returns; a signal cancels it.

    Only the first one does: a second must not cut short the cleaning up. Raises
    :class:`Interrupted` once it has ended.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    received: list[int] = []

    def stop(number: int) -> None:
        if not received:
            task.cancel()
        received.append(number)

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not received:
            raise
        raise Interrupted(received[0]) from None
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
