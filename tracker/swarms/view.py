"""A swarm seen from outside: how much of a torrent is where. Pure.

A node may be in a swarm several times: with an address of each family, and in both swarms of a
hybrid torrent. Its peer id, which it keeps for a run, says that it is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from swarm.messages import RackShare, SwarmOfVariant, VariantDocument
from tracker.swarms.peer import address_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tracker.swarms.peer import Peer
    from tracker.swarms.store import Members


class _Sum(NamedTuple):
    seeders: int = 0
    leechers: int = 0
    held_bytes: int = 0

    def plus(self, held: int, size: int) -> _Sum:
        is_complete = held == size
        return _Sum(
            self.seeders + is_complete, self.leechers + (not is_complete), self.held_bytes + held
        )

    def members(self, size: int) -> dict[str, float]:
        whole = (self.seeders + self.leechers) * size
        percent = round(100 * self.held_bytes / whole, 2) if whole else 0.0
        return {**self._asdict(), "held_percent": percent}


def view(
    document: VariantDocument, found: Iterable[Members], rack_of: Callable[[bytes], str]
) -> SwarmOfVariant:
    """Return what is to be said of a published variant, whose peers are ``found``.

    ``rack_of`` returns the rack of an address (4 or 16 bytes), empty if it is not known.
    """
    found = list(found)
    size = document.size or 0
    whole, racks = _Sum(), dict[str, _Sum]()
    for peer in _nodes(found).values():
        # What a peer says may be anything.
        held = size - min(peer.left, size)
        rack = rack_of(address_of(peer.endpoint))
        whole = whole.plus(held, size)
        racks[rack] = racks.get(rack, _Sum()).plus(held, size)
    return SwarmOfVariant.model_validate(
        {
            "variant": document.variant,
            "info_hash": document.info_hash,
            "size": size,
            "completed": max((members.downloaded for members in found), default=0),
            "racks": [
                RackShare.model_validate({"rack": rack, **total.members(size)})
                for rack, total in sorted(racks.items())
            ],
            **whole.members(size),
        }
    )


def _nodes(found: Iterable[Members]) -> dict[bytes, Peer]:
    """Return each node once, by its peer id, as it says that it has most."""
    nodes: dict[bytes, Peer] = {}
    for members in found:
        for peer in members.peers:
            known = nodes.get(peer.peer_id)
            if known is None or peer.left < known.left:
                nodes[peer.peer_id] = peer
    return nodes
