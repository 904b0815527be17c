"""Demands across tracker replicas: an agent here, a seeder there.

A seeder that is connected to another replica is a seeder here too (:class:`_Distant`): it is asked
over the bulletin, and its refusals come back that way. So the rules of ``tracker/demands.py`` hold
for all replicas together, and are written once. What is written to the registry by one replica
wakes those who wait at the others.

A seeder that is connected here is asked here, whatever another replica says; its former channel
there, not yet known to be dead, is the other one's business. A replica that is not heard of is
dropped with its seeders, who come back through another.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from tracker.bulletin import (
    SILENCE_SECONDS,
    Asked,
    NodesChanged,
    Progressed,
    Refused,
    Roll,
    RollCall,
    Settled,
    Withdrawn,
)
from tracker.demands import Demands, Seeder, Wanted

if TYPE_CHECKING:
    from collections.abc import Callable

    from swarm.messages import Convert, Refusal
    from tracker.bulletin import Bulletin, Notice
    from tracker.nodes.change import NodeChange
    from tracker.nodes.nodes import Nodes

#: How often a replica says which seeders it has.
ROLL_SECONDS = 3.0


class _Distant:
    """A seeder that is connected to another replica."""

    def __init__(self, node: str, replica: str, bulletin: Bulletin) -> None:
        self.node = node
        self.replica = replica
        self._bulletin = bulletin

    def ask(self, demand: Convert) -> None:
        """Send a demand without waiting for it to leave."""
        self._bulletin.post(Asked(node=self.node, demand=demand))


class SharedDemands(Demands):
    """All demands made here, and the connected seeders of all replicas."""

    def __init__(self, bulletin: Bulletin, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock=clock)
        self._bulletin = bulletin
        self._heard_at: dict[str, float] = {}
        bulletin.listen(self._hear)

    def join(self, seeder: Seeder) -> None:
        """Take a seeder in, and let the other replicas know."""
        super().join(seeder)
        self._post_roll()

    def leave(self, seeder: Seeder) -> None:
        """Forget a seeder, and let the other replicas know."""
        super().leave(seeder)
        self._post_roll()

    def refuse(self, node: str, refusal: Refusal) -> None:
        """Take down a refusal, here and wherever the seeder was asked from."""
        super().refuse(node, refusal)
        self._bulletin.post(Refused(node=node, refusal=refusal))

    def progress(self, image_id: str) -> None:
        """Let those who wait for the image at any replica look again."""
        super().progress(image_id)
        self._bulletin.post(Progressed(image_id=image_id))

    def settle(self, wanted: Wanted) -> None:
        """End a demand at every replica."""
        super().settle(wanted)
        self._bulletin.post(Settled(image_id=wanted.image_id, variant=wanted.variant))

    def withdraw(self, image_id: str) -> None:
        """End all demands for an image at every replica."""
        super().withdraw(image_id)
        self._bulletin.post(Withdrawn(image_id=image_id))

    async def keep_in_touch(self) -> None:
        """Say which seeders are here and drop silent replicas; runs until cancelled."""
        while True:
            await asyncio.sleep(ROLL_SECONDS)
            self._post_roll()
            self.drop_silent()

    def drop_silent(self) -> None:
        """Forget the seeders of replicas that were not heard of for too long."""
        oldest = self._clock() - SILENCE_SECONDS
        for replica in [name for name, at in self._heard_at.items() if at < oldest]:
            self._forget(replica)

    def _post_roll(self) -> None:
        seeders = self._seeders.values()
        here = sorted(seeder.node for seeder in seeders if not isinstance(seeder, _Distant))
        self._bulletin.post(Roll(nodes=tuple(here)))

    def _hear(self, replica: str, notice: Notice) -> None:
        self._heard_at[replica] = self._clock()
        if isinstance(notice, RollCall):
            self._start_anew(replica)
        elif isinstance(notice, Roll):
            self._take_in(replica, set(notice.nodes))
        elif isinstance(notice, Asked):
            self._pass_on(notice)
        elif isinstance(notice, Refused):
            super().refuse(notice.node, notice.refusal)
        elif isinstance(notice, Progressed):
            super().progress(notice.image_id)
        elif isinstance(notice, Settled):
            super().settle(Wanted(notice.image_id, notice.variant))
        elif isinstance(notice, Withdrawn):
            super().withdraw(notice.image_id)

    def _start_anew(self, replica: str) -> None:
        """Forget the seeders of a replica that was away; if it was this one, those of all.

        They are taken in again with the next roll, and asked again what they may not have heard.
        """
        is_own = replica == self._bulletin.replica
        for name in list(self._heard_at) if is_own else [replica]:
            self._forget(name)
        for demand in list(self._demands.values()):
            demand.wake()
        self._post_roll()

    def _take_in(self, replica: str, nodes: set[str]) -> None:
        for seeder in self._of_replica(replica):
            if seeder.node not in nodes:
                super().leave(seeder)
        for node in nodes:
            present = self._seeders.get(node)
            if present is None or (isinstance(present, _Distant) and present.replica != replica):
                super().join(_Distant(node, replica, self._bulletin))

    def _forget(self, replica: str) -> None:
        self._heard_at.pop(replica, None)
        for seeder in self._of_replica(replica):
            super().leave(seeder)

    def _of_replica(self, replica: str) -> list[_Distant]:
        distant = [s for s in self._seeders.values() if isinstance(s, _Distant)]
        return [seeder for seeder in distant if seeder.replica == replica]

    def _pass_on(self, notice: Asked) -> None:
        """Ask a seeder that is connected here on behalf of an agent that is not."""
        seeder = self._seeders.get(notice.node)
        if seeder is not None and not isinstance(seeder, _Distant):
            seeder.ask(notice.demand)


def share_nodes(nodes: Nodes, bulletin: Bulletin) -> None:
    """Have every replica look at the registry when a node is changed through one of them."""

    def tell(change: NodeChange) -> None:
        if change.is_made_here:
            bulletin.post(NodesChanged())

    def hear(_: str, notice: Notice) -> None:
        if isinstance(notice, NodesChanged | RollCall):
            nodes.wake()

    nodes.on_change(tell)
    bulletin.listen(hear)
