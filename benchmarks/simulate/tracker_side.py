"""The tracker of a simulated swarm: its own parts, driven by simulated nodes.

:class:`~tracker.control.reports.Reports` takes the reports of nodes as it does in service, with the
roster, the store of swarms, the policy and the deals of slices that it has there. Only the channel
is missing: what would be sent to a node is taken down here at once.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from swarm.control_messages import Report
from swarm.endpoints import COMPACT_IPV4_BYTES, split
from tracker.announce.announce import Announcer, Terms
from tracker.control.outbox import Outbox
from tracker.control.reports import Reports
from tracker.control.roster import Attendee, Roster
from tracker.handout.rack_aware import RackAware
from tracker.handout.table import POLICIES
from tracker.swarms.memory import MemorySwarms
from tracker.swarms.peer import Peer

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from numpy.typing import NDArray

    from benchmarks.simulate.world import World
    from tracker.handout.policy import Policy
    from tracker.handout.slices import Slice

_TORRENT = bytes(20)
_FOR_EVER = 1e12


class News:
    """What the tracker has said since the last look: whom who is to meet, and new slices."""

    def __init__(self) -> None:
        self.pairs: list[tuple[int, int]] = []
        self.slices: dict[int, tuple[int, int]] = {}

    def take(self) -> tuple[list[tuple[int, int]], dict[int, tuple[int, int]]]:
        """Return it, and forget it."""
        taken = self.pairs, self.slices
        self.pairs, self.slices = [], {}
        return taken


class _Ear(Outbox):
    """Takes what is said to one node down, in place of a channel that would carry it."""

    def __init__(self, number: int, news: News) -> None:
        super().__init__(most_demands=0)
        self._number = number
        self._news = news

    def introduce(self, announce_hash: bytes, endpoints: Iterable[bytes]) -> None:
        del announce_hash
        self._news.pairs += [(self._number, _number(endpoint)) for endpoint in endpoints]

    def deal(self, announce_hash: bytes, slice_: Slice) -> None:
        del announce_hash
        self._news.slices[self._number] = (slice_.k, slice_.n)


class _OneDeal(Reports):
    """Shares the pieces out among all nodes, as if nobody had a rack."""

    @staticmethod
    def _deal_key(attendee: Attendee, key: bytes) -> tuple[bytes, bytes]:
        del attendee
        return key, b""


class TrackerSide:
    """One tracker with one torrent; nodes are known to it by their numbers.

    Without racks, or a policy that knows none, it is told the racks all the same: slices are dealt
    within racks whatever the policy is.
    """

    def __init__(self, world: World, rack: NDArray[Any]) -> None:
        self.news = News()
        self._world = world
        self._racks = [b"r%d" % number if world.racks > 1 else b"" for number in rack.tolist()]
        rng = random.Random(world.seed)  # noqa: S311 - reproducible, not secret
        swarms = MemorySwarms(lifetime_seconds=_FOR_EVER, clock=lambda: 0.0, rng=rng)
        swarms.open(_TORRENT)
        terms = Terms(
            interval_seconds=30,
            min_interval_seconds=5,
            default_numwant=world.numwant,
            max_numwant=max(100, world.numwant),
        )
        self._announcer = Announcer(swarms, terms, policy=_policy(world), rng=rng)
        self._roster = Roster(clock=lambda: 0.0)
        reports = _OneDeal if world.slices == "all" else Reports
        self._reports = reports(swarms, self._announcer, self._roster, refresh_seconds=_FOR_EVER)
        self._attendees: dict[int, Attendee] = {}

    def join(self, node: int) -> None:
        """Let a node report that it wants the image, or that it has it, if it is the source."""
        rack, is_source = self._racks[node], node == self._world.source
        left = 0 if is_source else self._world.image_bytes
        endpoint = _endpoint(node)
        peer = Peer(endpoint.ljust(20, b"-"), endpoint, left, self._announcer.group(rack))
        role = "seeder" if is_source else "agent"
        attendee = Attendee(
            f"node-{node}", role, rack=rack, peer=peer, outbox=_Ear(node, self.news)
        )
        self._attendees[node] = attendee
        self._roster.enter(attendee)
        self._report(node, Report(full=True, torrents={_TORRENT.hex(): left}))

    def complete(self, node: int) -> None:
        """Let a node report that it has everything."""
        self._report(node, Report(torrents={_TORRENT.hex(): 0}))

    def want(self, node: int) -> None:
        """Let a node ask for more peers."""
        self._report(node, Report(want=(_TORRENT.hex(),)))

    def _report(self, node: int, report: Report) -> None:
        _run(self._reports.take(self._attendees[node], report))


def _policy(world: World) -> Policy:
    if world.handout == "rack_aware":
        return RackAware(remote=world.remote)
    return POLICIES[world.handout]


def _endpoint(number: int) -> bytes:
    return (0x0A000000 + number).to_bytes(4, "big") + b"\x1a\xe1"


def _number(endpoint: bytes) -> int:
    (whole,) = split(endpoint, COMPACT_IPV4_BYTES)
    return int.from_bytes(whole[:4], "big") - 0x0A000000


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run what never waits, as with a store in memory, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise RuntimeError("the tracker waited for something")
