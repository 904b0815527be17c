"""What the registry does with its database runs to its end, whoever goes on waiting for it.

A driver that is cancelled inside a statement has to throw its connection away. For SQLite that is a
thread, which then answers to a loop that may be closed already ("Event loop is closed"), or never
answers, and the loop's end waits for ever. So each operation is a task of the registry's own, which
the cancellation of its caller doesn't reach, and closing the registry waits for all of them.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import TYPE_CHECKING, Any, TypeVar

from swarm.deadline import within
from swarm.endings import end
from swarm.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

T = TypeVar("T")

#: How long one operation may take: longer than SQLite waits for another process that writes.
LIMIT_SECONDS = 30.0
#: How long a driver may then take to close the connection.
_CLOSING_SECONDS = 5.0


class Operations:
    """Those that run on one database."""

    def __init__(self, *, limit_seconds: float = LIMIT_SECONDS) -> None:
        self._limit_seconds = limit_seconds
        self._running: set[asyncio.Task[Any]] = set()
        self._is_closed = False

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what ``work`` returns; it goes on if whoever waits here is cancelled.

        Raises :class:`~swarm.errors.Unavailable` if it takes too long, or after :meth:`close`.
        """
        if self._is_closed:
            work.close()
            raise Unavailable("the registry is closed: this service is shutting down")
        task = asyncio.create_task(self._in_time(work), name="registry operation")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _in_time(self, work: Awaitable[T]) -> T:
        try:
            return await within(self._limit_seconds, work)
        except asyncio.TimeoutError as error:
            raise Unavailable(
                f"the registry's database took longer than {self._limit_seconds:g} s"
            ) from error

    async def close(self) -> None:
        """Let none begin any more, and return once all have ended."""
        self._is_closed = True
        if self._running:
            await asyncio.wait(self._running, timeout=self._limit_seconds + _CLOSING_SECONDS)
        await end(*self._running)


def each_to_its_end(repository: type[T]) -> type[T]:
    """Run each public coroutine method of a class by the :class:`Operations` in ``_operations``."""
    for name, method in list(vars(repository).items()):
        if inspect.iscoroutinefunction(method) and not name.startswith("_"):
            setattr(repository, name, _to_its_end(method))
    return repository


def _to_its_end(
    method: Callable[..., Coroutine[Any, Any, T]],
) -> Callable[..., Coroutine[Any, Any, T]]:
    @functools.wraps(method)
    async def run(self: Any, *args: Any, **kwargs: Any) -> T:  # noqa: ANN401 - as the method has it
        operations: Operations = self._operations
        return await operations.run(method(self, *args, **kwargs))

    return run
