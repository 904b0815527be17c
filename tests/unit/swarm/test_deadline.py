"""A time limit neither hides a cancellation nor outlives its time."""

from __future__ import annotations

import asyncio

import pytest

from swarm.deadline import within


def test_the_result_comes_through() -> None:
    """And so does whatever the work raises."""

    async def scenario() -> None:
        assert await within(5.0, asyncio.sleep(0, "done")) == "done"
        assert await within(None, asyncio.sleep(0, "done")) == "done"
        with pytest.raises(asyncio.TimeoutError):
            await within(0.01, asyncio.get_running_loop().create_future())

    asyncio.run(scenario())


def test_a_cancellation_that_comes_with_the_result_is_not_lost() -> None:
    """`asyncio.wait_for` of Python 3.11 loses it: the loop below would never end."""

    async def scenario() -> None:
        event = asyncio.Event()

        async def work() -> None:
            while True:
                await within(5.0, event.wait())
                await asyncio.sleep(0.01)

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        event.set()
        await asyncio.sleep(0)  # the result is there, and the task has not seen it yet
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=2.0)
        task.cancel()
        assert done
        assert task.cancelled()

    asyncio.run(scenario())
