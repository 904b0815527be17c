"""A task is ended only once it has ended, whatever it does with a cancellation."""

from __future__ import annotations

import asyncio

import pytest

from swarm.endings import end, first_end, running


async def deaf(ears: list[int]) -> None:
    """Swallow one cancellation, as a library may."""
    try:
        await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        ears.append(1)
    await asyncio.get_running_loop().create_future()


def test_a_swallowed_cancellation_is_repeated() -> None:
    """And the end of the task is waited for."""

    async def scenario() -> None:
        ears: list[int] = []
        task = asyncio.create_task(deaf(ears))
        await asyncio.sleep(0)
        assert await end(task) == []
        assert task.cancelled()
        assert ears == [1], "the premise: one was swallowed"

    asyncio.run(scenario())


def test_what_a_task_raised_is_returned() -> None:
    """Nobody else will look at it."""

    async def fail() -> None:
        raise ValueError

    async def scenario() -> None:
        task = asyncio.create_task(fail())
        await asyncio.sleep(0)
        (error,) = await end(task)
        assert isinstance(error, ValueError)

    asyncio.run(scenario())


def test_the_first_to_end_ends_all() -> None:
    """Its error is raised, the others are gone."""
    ears: list[int] = []

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError

    async def scenario() -> None:
        with pytest.raises(ValueError):  # noqa: PT011 - nothing else raises one
            await first_end(deaf(ears), fail())
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(scenario())


def test_a_block_ends_its_task() -> None:
    """Also when the task is deaf."""

    async def scenario() -> None:
        async with running(deaf([]), name="deaf"):
            await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(scenario())
