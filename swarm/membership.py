"""The engine's part in its swarms: the tracker hears what it has, the engine hears whom to meet.

Between the engine, which knows torrents, and the control channel, which knows hashes. While the
channel is up the tracker asks for few announces; when it is lost, every torrent announces by
itself, one after the other, as with any BitTorrent client.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from typing import TYPE_CHECKING, Literal

from swarm import endpoints
from swarm.control_client import ControlClient
from swarm.control_messages import Hello
from swarm.endings import running
from swarm.errors import ImageUnknown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from swarm.control_messages import Update
    from swarm.engine import Engine, Torrent
    from swarm.messages import Convert, Refusal
    from swarm.tracker_client import TrackerClient

_LOG = logging.getLogger(__name__)

#: How often the figures of torrents are looked at.
_LOOK_SECONDS = 1.0
#: Progress is said after this share of a torrent, or when it is complete.
_PROGRESS_SHARE = 0.02
#: With fewer connections for a while, an incomplete torrent asks for more peers.
_FEW_PEERS = 2
_FEW_SECONDS = 5.0
#: A channel that is back within this time was no loss; then announces begin, spread over a while.
_LOSS_SECONDS = 5.0
_SPREAD_SECONDS = 20


class Membership:
    """Speaks for an engine on the control channel; see :func:`member`.

    ``on_convert`` is called for each demand, and returns why it is refused, or None once it is
    taken on; ``on_connect`` whenever the channel is up.
    """

    def __init__(
        self,
        engine: Engine,
        tracker: TrackerClient,
        hello: Hello,
        *,
        on_convert: Callable[[Convert], Awaitable[Refusal | None]] | None = None,
        on_connect: Callable[[], None] | None = None,
    ) -> None:
        self._engine = engine
        self._client = ControlClient(tracker, hello, self)
        self._on_convert = on_convert
        self._on_connect = on_connect
        #: What was last said of each torrent: bytes that it lacks.
        self._said: dict[bytes, int] = {}
        self._torrents: dict[bytes, Torrent] = {}
        self._known: dict[bytes, dict[bytes, None]] = {}
        self._lonely_since: dict[bytes, float] = {}
        self._blocked: set[str] = set()
        self._lost_at: float | None = None
        engine.observe(self)

    @property
    def is_connected(self) -> bool:
        """Whether the channel is up."""
        return self._client.is_connected

    async def run(self) -> None:
        """Stay on the channel until cancelled."""
        async with running(self._look_for_ever(), name="membership figures"):
            await self._client.run()

    # What the engine says.

    def joined(self, torrent: Torrent) -> None:
        """Hear that a torrent was added."""
        for key in torrent.metainfo.announce_hashes:
            self._torrents[key] = torrent
            self._say(key, torrent)

    def left(self, torrent: Torrent) -> None:
        """Hear that a torrent was removed."""
        for key in torrent.metainfo.announce_hashes:
            if self._torrents.get(key) is torrent:
                del self._torrents[key]
                for notes in (self._said, self._known, self._lonely_since):
                    notes.pop(key, None)
                self._client.leave(key)

    def finished(self, torrent: Torrent) -> None:
        """Hear that a torrent has every piece."""
        for key in torrent.metainfo.announce_hashes:
            self._say(key, torrent)

    def _say(self, key: bytes, torrent: Torrent) -> None:
        self._said[key] = torrent.left
        self._client.have(key, torrent.left)

    # What the channel says.

    def holdings(self) -> dict[bytes, int]:
        """Return what the engine has and wants."""
        self._said = {key: torrent.left for key, torrent in self._torrents.items()}
        return self._said

    def connected(self, blocked: tuple[str, ...]) -> None:
        """Take up who is blocked; announces may rest."""
        self._lost_at = None
        self._blocked = set(blocked)
        self._engine.block(self._blocked)
        if self._on_connect is not None:
            self._on_connect()

    def disconnected(self) -> None:
        """Have every torrent announce soon, unless the channel comes back."""
        self._lost_at = time.monotonic()

    def updated(self, update: Update) -> None:
        """Act on news."""
        for name, peers in update.peers.items():
            self._meet(bytes.fromhex(name), bytes.fromhex(peers))
        for name, peers in update.left.items():
            known = self._known.get(bytes.fromhex(name), {})
            for endpoint in endpoints.split(bytes.fromhex(peers), self._width):
                known.pop(endpoint, None)
        for name, slice_ in update.slices.items():
            if (torrent := self._torrents.get(bytes.fromhex(name))) is not None:
                torrent.fetch_first(slice_.k, slice_.n)
        for name in update.withdrawn:
            if (torrent := self._torrents.get(bytes.fromhex(name))) is not None:
                _LOG.info("%s was withdrawn", torrent.metainfo.name)
                torrent.fail(ImageUnknown(f"{torrent.metainfo.name} was withdrawn"))
        if update.block or update.unblock:
            self._blocked = (self._blocked | set(update.block)) - set(update.unblock)
            self._engine.block(self._blocked)

    async def asked(self, demand: Convert) -> Refusal | None:
        """Pass a demand on; only seeders get some."""
        return None if self._on_convert is None else await self._on_convert(demand)

    # What time says.

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            for key, torrent in list(self._torrents.items()):
                self._look(key, torrent)
            if self._lost_at is not None and time.monotonic() - self._lost_at > _LOSS_SECONDS:
                self._lost_at = None
                self._announce_all()

    def _look(self, key: bytes, torrent: Torrent) -> None:
        left = torrent.left
        moved = abs(self._said.get(key, left) - left)
        if left and moved >= _PROGRESS_SHARE * torrent.metainfo.size:
            self._say(key, torrent)
        if not left or torrent.progress().peers >= _FEW_PEERS:
            self._lonely_since.pop(key, None)
            return
        since = self._lonely_since.setdefault(key, time.monotonic())
        if time.monotonic() - since > _FEW_SECONDS:
            self._lonely_since[key] = time.monotonic()
            self._meet(key, b"".join(self._known.get(key, ())))
            self._client.want(key)

    def _announce_all(self) -> None:
        """Let libtorrent's own announces take over, and not all in one moment."""
        for torrent in set(self._torrents.values()):
            torrent.announce(after_seconds=random.randrange(_SPREAD_SECONDS))  # noqa: S311 - jitter

    def _meet(self, key: bytes, peers: bytes) -> None:
        torrent = self._torrents.get(key)
        if torrent is None:
            return
        found = endpoints.split(peers, self._width)
        self._known.setdefault(key, {}).update(dict.fromkeys(found))
        torrent.connect(endpoints.spelt(endpoint) for endpoint in found)

    @property
    def _width(self) -> int:
        """Size of the endpoints that we hear of: the family is that of the engine's address."""
        is_ipv6 = ":" in self._engine.settings.listen_address
        return endpoints.COMPACT_IPV6_BYTES if is_ipv6 else endpoints.COMPACT_IPV4_BYTES


@contextlib.asynccontextmanager
async def member(
    engine: Engine,
    tracker: TrackerClient,
    *,
    role: Literal["seeder", "agent"],
    node: str,
    on_convert: Callable[[Convert], Awaitable[Refusal | None]] | None = None,
    on_connect: Callable[[], None] | None = None,
) -> AsyncIterator[Membership]:
    """Keep ``engine`` on the tracker's control channel during the block, as ``node``."""
    hello = Hello(role=role, node=node, port=engine.port)
    membership = Membership(engine, tracker, hello, on_convert=on_convert, on_connect=on_connect)
    async with running(membership.run(), name="control channel"):
        yield membership
