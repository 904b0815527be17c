"""Threads are never abandoned."""

from __future__ import annotations

import asyncio
import threading

import pytest

from swarm.blocking import in_thread, to_the_end


def test_a_cancelled_caller_stops_the_thread_and_waits_for_it() -> None:
    """The cancellation arrives only after the thread has ended."""

    async def scenario() -> None:
        stop, begun, ended = threading.Event(), threading.Event(), threading.Event()

        def work() -> None:
            begun.set()
            stop.wait(10.0)
            ended.set()

        task = asyncio.create_task(in_thread(work, stop=stop))
        await asyncio.to_thread(begun.wait, 10.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()

    asyncio.run(scenario())


def test_a_second_cancellation_does_not_cut_the_wait() -> None:
    """However often the caller is cancelled, the work ends first."""

    async def scenario() -> None:
        gate, done = asyncio.Event(), False

        async def work() -> None:
            nonlocal done
            await gate.wait()
            done = True

        task = asyncio.create_task(to_the_end(work()))
        for _ in range(3):
            await asyncio.sleep(0)
            task.cancel()
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done

    asyncio.run(scenario())


def test_results_and_errors_come_through() -> None:
    """Without a cancellation it is as if the work were called directly."""

    def fail() -> None:
        raise ValueError("no")

    assert asyncio.run(in_thread(lambda: 7)) == 7
    with pytest.raises(ValueError, match="no"):
        asyncio.run(in_thread(fail))
