"""Who is next."""

from __future__ import annotations

import asyncio

from peer.transfers.slots import Slots
from swarm.deadline import within


def test_slots_are_given_in_the_order_of_asking() -> None:
    """With one slot, the tasks run one at a time, first come first served."""

    async def scenario() -> None:
        slots, order, running = Slots(1), list[int](), 0

        async def run(number: int) -> None:
            nonlocal running
            async with slots.one():
                running += 1
                assert running == 1
                order.append(number)
                await asyncio.sleep(0)
                running -= 1

        await asyncio.gather(*(run(number) for number in range(10)))
        assert order == list(range(10))

    asyncio.run(scenario())


def test_a_waiter_that_is_cancelled_as_the_slot_comes_free_is_passed_over() -> None:
    """It ends cancelled, not by an error, and the next one gets the slot."""

    async def scenario() -> None:
        slots, end = Slots(1), asyncio.Event()

        async def hold() -> None:
            async with slots.one():
                await end.wait()

        first, cancelled, last = (asyncio.create_task(hold()) for _ in range(3))
        await asyncio.sleep(0)
        end.set()
        cancelled.cancel()
        await asyncio.wait([first, cancelled, last], timeout=5.0)
        assert (first.exception(), cancelled.cancelled(), last.exception()) == (None, True, None)

    asyncio.run(scenario())


def test_no_slot_is_lost_when_waiters_are_cancelled() -> None:
    """Cancelled while waiting, or in the very moment the slot came: the slot goes on."""

    async def scenario() -> None:
        slots = Slots(1)

        async def hold(until: asyncio.Event) -> None:
            async with slots.one():
                await until.wait()

        end = asyncio.Event()
        first, waiting, given = (asyncio.create_task(hold(end)) for _ in range(3))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        end.set()
        await first
        given.cancel()  # it was handed the slot, and has not run since
        await asyncio.wait([given])
        await within(5.0, hold(end))

    asyncio.run(scenario())
