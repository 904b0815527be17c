"""The uniform policy: every peer is as good as any other.

Random choice makes the swarm's graph a random one, which stays connected when nodes leave. It
knows nothing of racks; a policy that does is another file.
"""

from __future__ import annotations

from tracker.handout.policy import Kinds
from tracker.swarms.draw import share


class Uniform:
    """Complete and incomplete peers in the proportion in which there are such."""

    uses_groups = False

    def quotas(self, others: Kinds, *, count: int, is_complete: bool, fraction: float) -> Kinds:
        """Return how many of each kind; all are far, as nobody has a group."""
        del is_complete  # then there are no complete ones to choose from
        complete = self.complete_of(others.far_complete, others.far_incomplete, count, fraction)
        return Kinds(0, 0, complete, min(others.far_incomplete, count - complete))

    def complete_of(self, complete: int, incomplete: int, count: int, fraction: float) -> int:
        """Return how many of ``count`` are complete ones: in proportion."""
        return share(complete, incomplete, count, fraction=fraction)
