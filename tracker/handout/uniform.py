"""The uniform policy: every peer is as good as any other.

Random choice makes the swarm's graph a random one, which stays connected when nodes leave. It
knows nothing of racks; a policy that does is another file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from tracker.swarms.peer import Peer


def choose(
    candidates: Iterable[Peer], *, asker: Peer, count: int, rng: random.Random
) -> list[Peer]:
    """Return up to ``count`` of ``candidates`` at random, never the asker itself.

    The asker is known by its peer id, which it keeps on each of its addresses, and by its
    endpoint, where a former run of it may still be listed under another peer id.
    """
    others = [
        peer
        for peer in candidates
        if peer.peer_id != asker.peer_id and peer.endpoint != asker.endpoint
    ]
    return rng.sample(others, min(count, len(others)))
