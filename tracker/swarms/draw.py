"""How a number of peers to draw is shared out between the groups that they are drawn from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence


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


def spread(sizes: Sequence[int], want: int, rng: random.Random) -> list[int]:
    """Return how many of ``want`` to draw from each of several groups, as evenly as they allow.

    What can't be shared out evenly goes to groups at random: of a thousand groups, ``want`` give
    one each.
    """
    shares = [0] * len(sizes)
    left = min(want, sum(sizes))
    open_groups = [index for index, size in enumerate(sizes) if size]
    while left:
        if len(open_groups) > left:
            open_groups = rng.sample(open_groups, left)
        each = left // len(open_groups)
        for index in open_groups:
            given = min(each, sizes[index] - shares[index])
            shares[index] += given
            left -= given
        open_groups = [index for index in open_groups if shares[index] < sizes[index]]
    return shares
