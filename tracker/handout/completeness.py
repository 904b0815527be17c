"""The completeness policy: complete peers first, then the others.

A complete peer can give every piece, and is not busy fetching: a newcomer that knows only such is
never in want of a piece that nobody near it has. The price is that the complete ones carry the load
and those that could share it hear of each other only where complete ones run out. So it suits
swarms where most are complete, as when hosts are added to a cloud that has the image already; for
a flash crowd, where nobody is but a seeder, it is the wrong one.
"""

from __future__ import annotations

from tracker.handout.policy import Kinds


class Completeness:
    """As many complete peers as there are, and incomplete ones up to the count."""

    uses_groups = False

    def quotas(self, others: Kinds, *, count: int, is_complete: bool, fraction: float) -> Kinds:
        """Return how many of each kind; all are far, as nobody has a group."""
        del is_complete  # then there are no complete ones to choose from
        complete = self.complete_of(others.far_complete, others.far_incomplete, count, fraction)
        return Kinds(0, 0, complete, min(others.far_incomplete, count - complete))

    def complete_of(self, complete: int, incomplete: int, count: int, fraction: float) -> int:
        """Return how many of ``count`` are complete ones: as many as there are."""
        del incomplete, fraction
        return min(complete, count)
