"""Who has what, in Redis: the store of several tracker replicas.

The contract is in ``store.py``, what happens inside Redis in ``scripts.py``. It needs Redis 6.2 or
newer, or Valkey; one server, not a cluster: a scrape names the keys of many swarms at once.

Which swarms are open each replica knows by itself, from the registry and from the others' notices,
so a hash that is not published costs Redis nothing.
"""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING, cast

from tracker.bulletin import Closed, Opened
from tracker.redis_client import reached
from tracker.swarms.peer import Endpoint, Peer
from tracker.swarms.scripts import ANNOUNCE, MEMBERS, SCRAPE
from tracker.swarms.store import NOBODY, Answer, Counts, Members, Totals

if TYPE_CHECKING:
    from collections.abc import Iterable

    from redis.asyncio import Redis

    from tracker.bulletin import Bulletin, Notice

_RECORD = struct.Struct(">20sQ")
_IPV4_BYTES = 4
#: Any address of each family.
_ADDRESSES = (bytes(_IPV4_BYTES), bytes(16))
_FOUND = {
    len(address): struct.Struct(f">{len(address)}sH{_RECORD.format[1:]}") for address in _ADDRESSES
}
#: Lua's stack holds some 8000 values; nobody needs to choose among so many.
_MOST_DRAWN = 2000
#: The counter of completions goes this long after the last announce.
_COUNTER_SECONDS = 30 * 86400
_FAMILIES = ("4", "6")


def _keys(announce_hash: bytes, family: str) -> dict[str, str]:
    swarm = f"glance-swarm:{announce_hash.hex()}:{family}"
    return {name: f"{swarm}:{name}" for name in ("incomplete", "complete", "peers", "downloaded")}


def _family(address: bytes) -> str:
    return _FAMILIES[0] if len(address) == _IPV4_BYTES else _FAMILIES[1]


class RedisSwarms:
    """The store that replicas share.

    ``lifetime_seconds`` is how long a peer is believed after its last announce, the same at all
    replicas. ``bulletin`` tells the others what is opened and closed here, and this one what they
    do.
    """

    def __init__(
        self,
        client: Redis,
        bulletin: Bulletin,
        *,
        lifetime_seconds: float,
        rng: random.Random | None = None,
    ) -> None:
        self._client = client
        self._bulletin = bulletin
        self._lifetime_milliseconds = round(lifetime_seconds * 1000)
        self._rng = rng or random.Random()  # noqa: S311 - it spreads load and keeps no secret
        self._open: set[bytes] = set()
        self._announce = client.register_script(ANNOUNCE)
        self._scrape = client.register_script(SCRAPE)
        self._members = client.register_script(MEMBERS)
        bulletin.listen(self._hear)

    def _hear(self, _: str, notice: Notice) -> None:
        if isinstance(notice, Opened):
            self._open.add(bytes.fromhex(notice.announce_hash))
        elif isinstance(notice, Closed):
            self._open.discard(bytes.fromhex(notice.announce_hash))

    def open(self, announce_hash: bytes) -> None:
        """Admit announces for a torrent, here and at the other replicas."""
        self._open.add(announce_hash)
        self._bulletin.post(Opened(announce_hash=announce_hash.hex()))

    async def forget(self, announce_hash: bytes) -> None:
        """Close a swarm at all replicas and forget its peers."""
        self._open.discard(announce_hash)
        self._bulletin.post(Closed(announce_hash=announce_hash.hex()))
        keys = [key for family in _FAMILIES for key in _keys(announce_hash, family).values()]
        with reached():
            await self._client.unlink(*keys)

    def restore(self, announce_hashes: Iterable[bytes]) -> None:
        """Have exactly these open, here."""
        self._open = set(announce_hashes)

    def is_open(self, announce_hash: bytes) -> bool:
        """Return whether the torrent is published, as far as this replica knows."""
        return announce_hash in self._open

    async def announce(
        self,
        announce_hash: bytes,
        peer: Peer,
        *,
        has_completed: bool = False,
        has_stopped: bool = False,
        want: int = 0,
    ) -> Answer:
        """Take down what ``peer`` said just now, and draw others, in one round trip."""
        if announce_hash not in self._open:
            return Answer(NOBODY, [])
        want = min(want, _MOST_DRAWN)
        arguments: list[bytes | float] = [
            peer.endpoint.compact,
            _RECORD.pack(peer.peer_id, peer.left),
            *(int(flag) for flag in (peer.is_complete, has_completed, has_stopped)),
            want,
            self._rng.random(),
            self._lifetime_milliseconds,
            _COUNTER_SECONDS,
        ]
        keys = _keys(announce_hash, _family(peer.endpoint.address))
        with reached():
            answer = await self._announce(keys=list(keys.values()), args=arguments)
        *counts, drawn = answer
        peers = _peers(drawn, peer.endpoint.address)
        if len(peers) > want:
            del peers[self._rng.randrange(len(peers))]
        return Answer(Counts(*counts), peers)

    async def scrape(self, announce_hashes: Iterable[bytes], address: bytes) -> dict[bytes, Counts]:
        """Return the counts of each open swarm among these, in one round trip."""
        found = [announce_hash for announce_hash in announce_hashes if self.is_open(announce_hash)]
        if not found:
            return {}
        family = _family(address)
        names = ("incomplete", "complete", "downloaded")
        keys = [_keys(announce_hash, family)[name] for announce_hash in found for name in names]
        with reached():
            counts = cast("list[int]", await self._scrape(keys=keys))
        triples = zip(counts[::3], counts[1::3], counts[2::3], strict=True)
        return {key: Counts(*triple) for key, triple in zip(found, triples, strict=True)}

    async def members(self, announce_hash: bytes) -> Members:
        """Return all peers of a torrent, of both families, in a round trip for each."""
        if announce_hash not in self._open:
            return Members([], 0)
        found = [await self._look(announce_hash, address) for address in _ADDRESSES]
        return Members(
            [peer for members in found for peer in members.peers],
            sum(members.downloaded for members in found),
        )

    async def _look(self, announce_hash: bytes, address: bytes) -> Members:
        keys = _keys(announce_hash, _family(address))
        with reached():
            downloaded, found = await self._members(keys=list(keys.values()))
        return Members(_peers(found, address), downloaded)

    async def totals(self) -> Totals:
        """Return how many torrents are open, and their peers."""
        hashes = list(self._open)
        scrapes = [await self.scrape(hashes, address) for address in _ADDRESSES]
        counts = [count for scrape in scrapes for count in scrape.values()]
        return Totals(
            len(hashes),
            sum(count.complete for count in counts),
            sum(count.incomplete for count in counts),
        )

    async def check(self) -> None:
        """Return if Redis answers; else raise :class:`~swarm.errors.Unavailable`."""
        with reached():
            await self._client.ping()


def _peers(found: bytes, address: bytes) -> list[Peer]:
    """Read what a script returns: endpoints of the family of ``address``, each with its record."""
    unpacked = _FOUND[len(address)].iter_unpack(found)
    return [Peer(peer_id, Endpoint(where, port), left) for where, port, peer_id, left in unpacked]
