"""What a handout policy is: it answers one question.

Of those that a peer could be introduced to, how many of each kind? Who exactly is left to chance,
and to the store of swarms: it has drawn some of each kind already. So a policy is a pure function
of numbers, and the same one serves any store, and the simulation.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Kinds(NamedTuple):
    """A number for each kind of peer: how many there are, or how many to hand out.

    *Near* is who is in the asker's own group, its rack; a peer of no group has nobody near.
    """

    near_complete: int = 0
    near_incomplete: int = 0
    far_complete: int = 0
    far_incomplete: int = 0


class Policy(Protocol):
    """One way to hand out peers."""

    @property
    def uses_groups(self) -> bool:
        """Whether near and far are told apart; if not, everybody is far."""

    def quotas(self, others: Kinds, *, count: int, is_complete: bool, fraction: float) -> Kinds:
        """Return how many of each kind to hand to one asker.

        ``others`` is how many there are beside the asker; of a complete asker the complete ones are
        not counted, as two of them have nothing to say to each other. ``fraction`` is a random
        number from 0 up to, not including, 1, to round by. The quotas are at most ``others``, and
        together ``count``, or as many as there are.
        """

    def complete_of(self, complete: int, incomplete: int, count: int, fraction: float) -> int:
        """Return how many of ``count`` are complete ones where nobody is near.

        The same as :meth:`quotas` says then: it is asked for by itself as most announces want to
        know nothing else, and come tens of thousands a second.
        """
