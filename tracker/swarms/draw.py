"""How a sample is shared out between the incomplete and the complete peers of a swarm.

The stores keep the two apart, as a complete peer is told only of incomplete ones. Drawing a share
from each is drawing from both: every peer has the same chance.
"""

from __future__ import annotations


def share(first: int, second: int, want: int, *, fraction: float) -> int:
    """Return how many of ``want`` to draw from the first of two groups; the rest is the second's.

    ``first`` and ``second`` are their sizes, ``fraction`` a random number from 0 up to, not
    including, 1: it rounds a share of 2.3 up three times in ten. If there are no more than ``want``
    in all, everybody is drawn.
    """
    total = first + second
    if total <= want:
        return first
    return min(first, int(want * first / total + fraction))
