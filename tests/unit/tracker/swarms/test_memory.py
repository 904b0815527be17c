"""The store in memory, beyond the contract: its sweep, its size, and answers without waiting."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from tests.unit.tracker import lab
from tracker.swarms.memory import MemorySwarms
from tracker.swarms.peer import Peer, compact
from tracker.swarms.store import Counts

HASH = b"h" * 20
IPV4 = bytes([192, 0, 2, 1])
IPV6 = bytes(15) + b"\x01"


def peer(port: int, address: bytes = IPV4) -> Peer:
    """Return an incomplete peer."""
    return Peer(b"%020d" % port, compact(address, port), 1)


def test_a_sweep_drops_what_expired_and_nothing_else() -> None:
    """It frees swarms that nobody looks at."""
    clock = lab.Clock()
    swarms = MemorySwarms(lifetime_seconds=75, clock=clock)
    swarms.open(HASH)
    swarms.announce_now(HASH, peer(1))
    swarms.announce_now(HASH, peer(2, IPV6))
    clock.now += 50
    swarms.announce_now(HASH, peer(3))
    assert swarms.sweep() == 0
    clock.now += 30
    assert swarms.sweep() == 2
    assert swarms.scrape_now([HASH], IPV4) == {HASH: Counts(0, 1, 0)}


@pytest.mark.parametrize("address_bytes", [4, 16])
def test_a_peer_takes_less_than_300_bytes(address_bytes: int) -> None:
    """Also after everybody has announced again, and some have left and come back."""
    count = 20_000
    swarms = MemorySwarms(lifetime_seconds=75)
    swarms.open(HASH)

    def announce(seed: int, share: float, *, has_stopped: bool = False) -> None:
        source, chance = random.Random(1), random.Random(seed)
        for number in range(count):
            endpoint = compact(source.randbytes(address_bytes), 1 + number % 60000)
            said = Peer(source.randbytes(20), endpoint, source.randrange(1 << 40) * (number % 2))
            if chance.random() < share:
                swarms.announce_now(HASH, said, has_stopped=has_stopped)

    tracemalloc.start()
    try:
        announce(1, 1.0)
        announce(2, 1.0)
        announce(3, 0.3, has_stopped=True)
        announce(3, 0.3)
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert sum(swarms.scrape_now([HASH], bytes(address_bytes))[HASH]) == count
    assert used / count < 300
