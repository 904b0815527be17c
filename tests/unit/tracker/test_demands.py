"""Who is asked for what, and for how long a demand is outstanding."""

from __future__ import annotations

import pytest

from swarm import errors
from swarm.messages import Convert, Variant
from tests.unit.tracker import lab
from tracker.demands import AGAIN_SECONDS, MOST_DEMANDS, Demands, Wanted


class Recorder:
    """The tracker's side of a seeder, without a socket: it records what it is asked."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.asked: list[Convert] = []

    def ask(self, demand: Convert) -> None:
        """Record a demand."""
        self.asked.append(demand)


def test_a_demand_that_was_forgotten_is_sent_again() -> None:
    """A seeder that took it on and was not heard of is asked again after a while, not sooner."""
    clock, seeder = lab.Clock(), Recorder("s")
    demands = Demands(clock=clock)
    demands.join(seeder)
    wanted = Wanted(lab.IMAGE, Variant.RAW)
    for passed, asked in ((0.0, 1), (AGAIN_SECONDS - 1, 1), (1.0, 2)):
        clock.now += passed
        with demands.waiting_for(wanted):
            assert len(seeder.asked) == asked


def test_demands_are_bounded_and_stale_ones_make_room() -> None:
    """Who asks for ever new images can't fill the memory, nor lock others out for long."""
    clock = lab.Clock()
    demands = Demands(clock=clock)
    demands.join(Recorder("s"))

    def want(number: int) -> None:
        with demands.waiting_for(Wanted(f"00000000-0000-4000-8000-{number:012d}", Variant.RAW)):
            pass

    for number in range(MOST_DEMANDS):
        want(number)
    with pytest.raises(errors.Unavailable):
        want(MOST_DEMANDS)
    clock.now += AGAIN_SECONDS
    want(MOST_DEMANDS)


def test_a_seeder_that_connects_again_takes_its_own_place() -> None:
    """The end of its former channel, noticed late, does not disconnect the new one."""
    demands = Demands()
    old, new = Recorder("s"), Recorder("s")
    wanted = Wanted(lab.IMAGE, Variant.RAW)
    demands.join(old)
    with demands.waiting_for(wanted) as demand:
        demands.join(new)
        demands.leave(old)
        assert demands.seeder_count == 1
        assert len(new.asked) == 1
        assert demands.is_pending(demand)
        demands.leave(new)
        assert not demands.is_pending(demand)
