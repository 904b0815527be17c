"""Who has what, in Redis: the store of several tracker replicas.

The contract is in ``store.py``, what happens inside Redis in ``scripts.py``. It needs Redis 6.2 or
newer, or Valkey; one server, not a cluster.

Which swarms are open each replica knows by itself, from the registry and from the others' notices,
so a hash that is not published costs Redis nothing.
"""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING, TypeVar, cast

from tracker.bulletin import Closed, Opened
from tracker.handout.policy import Kinds
from tracker.redis_client import reached
from tracker.swarms.peer import COMPACT_IPV4_BYTES, IPV4_BYTES, IPV6_BYTES, Peer
from tracker.swarms.scripts import ANNOUNCE, FORGET, LEAVE, MEMBERS, REPORT, SCRAPE
from tracker.swarms.store import NONE, NOTHING, SILENCE, Answer, Counts, Drawn, Members, Totals

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from redis.asyncio import Redis

    from tracker.bulletin import Bulletin, Notice

_T = TypeVar("_T")
#: Peer id and bytes left; the name of the group follows, in hexadecimal.
_RECORD = struct.Struct(">20sQ")
#: The counter of completions goes this long after the last announce.
_COUNTER_SECONDS = 30 * 86400
_IPV4, _IPV6 = "4", "6"
#: Redis does nothing else while it runs a script: some milliseconds for so many swarms.
_SWARMS_AT_ONCE = 500
_SEEDS = 1 << 31


def _swarm(announce_hash: bytes, family: str) -> str:
    """Return what all keys of one swarm begin with."""
    return f"glance-swarm:{announce_hash.hex()}:{family}"


def _family(endpoint: bytes) -> str:
    return _IPV4 if len(endpoint) == COMPACT_IPV4_BYTES else _IPV6


def _record(peer: Peer, left: int) -> bytes:
    return _RECORD.pack(peer.peer_id, left) + peer.group.hex().encode()


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
        self._report = client.register_script(REPORT)
        self._leave = client.register_script(LEAVE)
        self._forget = client.register_script(FORGET)
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
        with reached():
            await self._forget(keys=[_swarm(announce_hash, family) for family in (_IPV4, _IPV6)])

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
        is_reported: bool = False,
        want: int = 0,
    ) -> Answer:
        """Take down what ``peer`` said just now, and draw others, in one round trip."""
        del is_reported  # what is reported lives as long as what is announced
        if announce_hash not in self._open:
            return SILENCE
        arguments: list[bytes | int] = [
            peer.endpoint,
            _record(peer, peer.left),
            *(int(flag) for flag in (peer.is_complete, has_completed, has_stopped)),
            want,
            self._rng.randrange(_SEEDS),
            self._lifetime_milliseconds,
            _COUNTER_SECONDS,
        ]
        with reached():
            answer = await self._announce(
                keys=[_swarm(announce_hash, _family(peer.endpoint))], args=arguments
            )
        counts = Counts(*answer[:3])
        if len(answer) == len(counts):
            return Answer(counts, NONE, NOTHING)
        return Answer(counts, Kinds(*answer[3:7]), Drawn(*answer[7:]))

    async def report(self, peer: Peer, holdings: Sequence[tuple[bytes, int]]) -> None:
        """Take down what one node has of many torrents, in one round trip for each 500."""
        family = _family(peer.endpoint)
        held = [(key, left) for key, left in holdings if key in self._open]
        for some in _slices(held):
            arguments: list[bytes | int] = [
                peer.endpoint,
                self._lifetime_milliseconds,
                _COUNTER_SECONDS,
                *(_record(peer, left) for _, left in some),
            ]
            with reached():
                await self._report(keys=[_swarm(key, family) for key, _ in some], args=arguments)

    async def renew(self, peer: Peer, holdings: Sequence[tuple[bytes, int]]) -> None:
        """Report all again."""
        await self.report(peer, holdings)

    async def leave(self, endpoint: bytes, announce_hashes: Sequence[bytes]) -> None:
        """Forget an endpoint in these swarms, in one round trip for each 500."""
        family = _family(endpoint)
        for some in _slices([key for key in announce_hashes if key in self._open]):
            with reached():
                await self._leave(keys=[_swarm(key, family) for key in some], args=[endpoint])

    async def scrape(self, announce_hashes: Iterable[bytes], address: bytes) -> dict[bytes, Counts]:
        """Return the counts of each open swarm among these, in one round trip for each 500."""
        family = _IPV4 if len(address) == IPV4_BYTES else _IPV6
        found: dict[bytes, Counts] = {}
        for some in _slices([key for key in announce_hashes if key in self._open]):
            with reached():
                numbers = await self._scrape(keys=[_swarm(key, family) for key in some])
            counts = cast("Iterator[int]", iter(numbers))
            found.update((key, Counts(next(counts), next(counts), next(counts))) for key in some)
        return found

    async def members(self, announce_hash: bytes) -> Members:
        """Return all peers of a torrent, of both families, in a round trip for each."""
        peers: list[Peer] = []
        downloaded = 0
        for family in (_IPV4, _IPV6) if announce_hash in self._open else ():
            with reached():
                count, *found = await self._members(keys=[_swarm(announce_hash, family)])
            downloaded += count
            peers += map(_peer, found[::2], found[1::2])
        return Members(peers, downloaded)

    async def totals(self) -> Totals:
        """Return how many torrents are open, and their peers."""
        hashes = list(self._open)
        scrapes = [await self.scrape(hashes, bytes(size)) for size in (IPV4_BYTES, IPV6_BYTES)]
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


def _slices(whole: list[_T]) -> Iterator[list[_T]]:
    for start in range(0, len(whole), _SWARMS_AT_ONCE):
        yield whole[start : start + _SWARMS_AT_ONCE]


def _peer(endpoint: bytes, record: bytes) -> Peer:
    peer_id, left = _RECORD.unpack_from(record)
    return Peer(peer_id, endpoint, left, bytes.fromhex(record[_RECORD.size :].decode()))
