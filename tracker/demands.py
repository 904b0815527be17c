"""What agents wait for and which seeders were asked for it.

A demand is one variant of one image that somebody wants and that is not published. It is sent once
to each connected seeder, however many agents wait, and to each seeder that connects while it is
outstanding. It ends with the torrent, a failure, a withdrawal, or when nobody waits any more and
no seeder has still to answer.

Only memory: after a restart the agents ask again. No method here waits; ``tracker/conversions.py``
does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from swarm.errors import Unavailable
from swarm.messages import Convert, Variant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from swarm.messages import Refusal

_LOG = logging.getLogger(__name__)

#: Far more than a cloud converts at one time; a bound, so that no caller fills the memory.
MOST_DEMANDS = 1024
#: A seeder that took a demand on and was not heard of again is asked again after this long.
AGAIN_SECONDS = 600.0


class Wanted(NamedTuple):
    """One variant of one image."""

    image_id: str
    variant: Variant


class Seeder(Protocol):
    """A connected seeder; ``tracker/control.py`` has the real one."""

    @property
    def node(self) -> str:
        """Its name: a seeder that connects again under it takes its place."""

    def ask(self, demand: Convert) -> None:
        """Send a demand without waiting for it to leave."""


class Demand:
    """One demand and what became of it so far."""

    def __init__(self, wanted: Wanted, asked_at: float) -> None:
        self.wanted = wanted
        self.asked_at = asked_at
        self.waiting = 0
        self.is_withdrawn = False
        #: The answer of each seeder that was asked, by node; None until it refuses.
        self.answers: dict[str, Refusal | None] = {}
        self._changed = asyncio.Event()

    @property
    def refusals(self) -> list[Refusal]:
        """What seeders had against it."""
        return [answer for answer in self.answers.values() if answer is not None]

    @property
    def change(self) -> asyncio.Event:
        """Set at the next change. Take it before looking, so that no change is missed."""
        return self._changed

    def wake(self) -> None:
        """Let everybody who waits look again."""
        self._changed.set()
        self._changed = asyncio.Event()


class Demands:
    """All demands and all connected seeders."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._demands: dict[Wanted, Demand] = {}
        self._seeders: dict[str, Seeder] = {}
        self.is_closed = False

    @contextlib.contextmanager
    def waiting_for(self, wanted: Wanted) -> Iterator[Demand]:
        """Keep a demand alive during the block; the seeders are asked unless they were already.

        Raises :class:`~swarm.errors.Unavailable` if there are too many demands.
        """
        demand = self._demands.get(wanted) or self._new(wanted)
        demand.waiting += 1
        try:
            if not self._is_outstanding(demand):
                self._ask_everybody(demand)
            yield demand
        finally:
            demand.waiting -= 1
            self._drop_if_over(demand)

    def _new(self, wanted: Wanted) -> Demand:
        if len(self._demands) >= MOST_DEMANDS:
            self._drop_stale()
        if len(self._demands) >= MOST_DEMANDS:
            raise Unavailable(f"{MOST_DEMANDS} images are being asked for at this moment")
        demand = self._demands[wanted] = Demand(wanted, self._clock())
        return demand

    def _is_outstanding(self, demand: Demand) -> bool:
        """Whether a connected seeder was asked, not too long ago, and has not refused."""
        return self.is_pending(demand) and self._clock() - demand.asked_at < AGAIN_SECONDS

    def is_pending(self, demand: Demand) -> bool:
        """Return whether a connected seeder has still to answer."""
        return any(
            answer is None and node in self._seeders for node, answer in demand.answers.items()
        )

    def _ask_everybody(self, demand: Demand) -> None:
        demand.answers.clear()
        demand.asked_at = self._clock()
        for seeder in list(self._seeders.values()):
            self._ask(seeder, demand)

    def _ask(self, seeder: Seeder, demand: Demand) -> None:
        demand.answers[seeder.node] = None
        seeder.ask(Convert(image_id=demand.wanted.image_id, variant=demand.wanted.variant))

    def _drop_if_over(self, demand: Demand) -> None:
        is_over = not demand.waiting and not self.is_pending(demand)
        if is_over and self._demands.get(demand.wanted) is demand:
            del self._demands[demand.wanted]

    def _drop_stale(self) -> None:
        for demand in list(self._demands.values()):
            if not demand.waiting and not self._is_outstanding(demand):
                del self._demands[demand.wanted]

    @property
    def seeder_count(self) -> int:
        """How many seeders are connected."""
        return len(self._seeders)

    def join(self, seeder: Seeder) -> None:
        """Take a seeder in and ask it for all that is outstanding."""
        self._seeders[seeder.node] = seeder
        for demand in list(self._demands.values()):
            self._ask(seeder, demand)
            demand.wake()

    def leave(self, seeder: Seeder) -> None:
        """Forget a seeder whose channel is gone, unless it is back on another one already."""
        if self._seeders.get(seeder.node) is not seeder:
            return
        del self._seeders[seeder.node]
        for demand in list(self._demands.values()):
            demand.wake()
            self._drop_if_over(demand)

    def refuse(self, node: str, refusal: Refusal) -> None:
        """Take down that a seeder won't meet a demand; what nobody asked it is passed over."""
        demand = self._demands.get(Wanted(refusal.image_id, refusal.variant))
        if demand is None or node not in demand.answers:
            return
        demand.answers[node] = refusal
        demand.wake()
        self._drop_if_over(demand)

    def progress(self, image_id: str) -> None:
        """Let those who wait for the image look again: something about it was written."""
        for demand in self._of(image_id):
            demand.wake()

    def settle(self, wanted: Wanted) -> None:
        """End a demand that was met or that failed; those who wait find out which."""
        demand = self._demands.get(wanted)
        if demand is not None:
            demand.answers.clear()
            demand.wake()
            self._drop_if_over(demand)

    def withdraw(self, image_id: str) -> None:
        """End all demands for an image that is no more."""
        for demand in self._of(image_id):
            demand.is_withdrawn = True
            demand.wake()
            del self._demands[demand.wanted]

    def _of(self, image_id: str) -> list[Demand]:
        found = (self._demands.get(Wanted(image_id, variant)) for variant in Variant)
        return [demand for demand in found if demand is not None]

    def close(self) -> None:
        """Wake everybody for the last time: the tracker is shutting down."""
        self.is_closed = True
        for demand in self._demands.values():
            demand.wake()
