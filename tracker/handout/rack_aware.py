"""The rack-aware policy: those of the asker's rack first, and always some of elsewhere.

What one host of a rack has fetched over the uplink the others get from it, and the uplink carries
each piece about once. But a rack whose hosts knew only each other would be an island: what nobody
there has would never come. So a few places of each handout are for remote peers, at least one. The
store spreads them over the other racks.

Where no racks are known everybody is far, and this is the uniform policy.
"""

from __future__ import annotations

from tracker.handout.policy import Kinds
from tracker.swarms.draw import share

#: Of so many places,
_PLACES = 50
#: so many are for remote peers.
_REMOTE = 4


class RackAware:
    """Near peers, complete and incomplete in proportion, and ``remote`` far ones of each 50.

    There is one far one at least in a handout of more than one, if there are any. Places that near
    ones can't fill go to far ones.
    """

    uses_groups = True

    def __init__(self, *, remote: int = _REMOTE) -> None:
        self._remote = remote

    def quotas(self, others: Kinds, *, count: int, is_complete: bool, fraction: float) -> Kinds:
        """Return how many of each kind."""
        del is_complete  # then there are no complete ones to choose from
        near_complete, near_incomplete, far_complete, far_incomplete = others
        if not near_complete and not near_incomplete:
            fars = self.complete_of(far_complete, far_incomplete, count, fraction)
            return Kinds(0, 0, fars, min(far_incomplete, count - fars))
        reserved = min(far_complete + far_incomplete, self._reserved(count))
        near = min(near_complete + near_incomplete, count - reserved)
        far = min(far_complete + far_incomplete, count - near)
        nears = share(near_complete, near_incomplete, near, fraction=fraction)
        fars = share(far_complete, far_incomplete, far, fraction=fraction)
        return Kinds(nears, near - nears, fars, far - fars)

    def complete_of(self, complete: int, incomplete: int, count: int, fraction: float) -> int:
        """Return how many of ``count`` are complete ones: in proportion."""
        return share(complete, incomplete, count, fraction=fraction)

    def _reserved(self, count: int) -> int:
        """Return how many of ``count`` places are not for near peers."""
        return min(count, max(1, count * self._remote // _PLACES)) if count > 1 else 0
