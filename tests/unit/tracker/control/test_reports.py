"""What reports lead to as time passes, on a clock that the test turns."""

from __future__ import annotations

import asyncio

from swarm.control_messages import Report
from swarm.endpoints import compact
from tests.unit.tracker import lab
from tracker.announce.announce import Announcer, Terms
from tracker.control.outbox import Outbox
from tracker.control.reports import Reports
from tracker.control.roster import GRACE_SECONDS, Attendee, Roster
from tracker.handout.uniform import Uniform
from tracker.swarms.memory import MemorySwarms
from tracker.swarms.peer import Peer
from tracker.swarms.store import NOBODY, Counts

KEY = b"h" * 20
ADDRESS = bytes([192, 0, 2, 1])
LIFETIME_SECONDS = 75.0
REFRESH_SECONDS = 30.0


class Stage:
    """A store with one open swarm, and reports on it."""

    def __init__(self) -> None:
        self.clock = lab.Clock()
        self.swarms = MemorySwarms(lifetime_seconds=LIFETIME_SECONDS, clock=self.clock)
        self.swarms.open(KEY)
        self.roster = Roster(clock=self.clock)
        announcer = Announcer(
            self.swarms, Terms(30, 5, 50, 100), policy=Uniform(), attendance=self.roster
        )
        self.reports = Reports(self.swarms, announcer, self.roster, refresh_seconds=REFRESH_SECONDS)

    def enter(self, port: int, *, rack: bytes = b"") -> Attendee:
        """Let an agent come."""
        peer = Peer(b"%020d" % port, compact(ADDRESS, port), 0)
        attendee = Attendee(
            f"node-{port}", "agent", rack=rack, peer=peer, outbox=Outbox(most_demands=1)
        )
        self.roster.enter(attendee)
        return attendee

    async def say(self, attendee: Attendee, left: int) -> None:
        """Report the torrent."""
        await self.reports.take(attendee, Report(torrents={KEY.hex(): left}))

    def counts(self) -> Counts:
        """Return the counts of the swarm."""
        return self.swarms.scrape_now([KEY], ADDRESS)[KEY]


def test_a_node_that_says_nothing_new_stays_a_member() -> None:
    """Its empty reports keep all its memberships alive; without them they end."""

    async def scenario() -> None:
        stage = Stage()
        talks, is_silent = stage.enter(1), stage.enter(2)
        for attendee in (talks, is_silent):
            await stage.say(attendee, 5)
        assert stage.counts() == Counts(0, 2, 0)
        for _ in range(20):
            stage.clock.now += 10
            await stage.reports.take(talks, Report())
        assert stage.counts() == Counts(0, 1, 0)
        stage.clock.now += LIFETIME_SECONDS
        assert stage.counts() == NOBODY

    asyncio.run(scenario())


def test_an_absent_node_keeps_its_slice_for_a_while() -> None:
    """Who comes back in time disturbs nobody; afterwards a newcomer gets its slice."""

    async def scenario() -> None:
        stage = Stage()
        stays, goes = stage.enter(1), stage.enter(2)
        for attendee in (stays, goes):
            await stage.say(attendee, 5)
            attendee.outbox.take()
        stays.outbox.take()
        stage.roster.exit(goes)
        stage.clock.now += GRACE_SECONDS / 2
        stage.reports.tidy()
        back = stage.enter(2)
        await stage.say(back, 5)
        assert slices(back) == {KEY.hex(): (1, 2)}
        assert slices(stays) == {}
        stage.roster.exit(back)
        stage.clock.now += GRACE_SECONDS
        stage.reports.tidy()
        late = stage.enter(3)
        await stage.say(late, 5)
        assert slices(late) == {KEY.hex(): (1, 2)}
        assert slices(stays) == {}

    asyncio.run(scenario())


def slices(attendee: Attendee) -> dict[str, tuple[int, int]]:
    """Return what an attendee is newly told of slices."""
    told = {}
    for message in attendee.outbox.take():
        assert message.type == "update"
        told.update({key: (one.k, one.n) for key, one in message.slices.items()})
    return told


def test_each_rack_shares_a_torrent_out_for_itself() -> None:
    """So that each rack fetches each piece over its uplink about once."""

    async def scenario() -> None:
        stage = Stage()
        nodes = [stage.enter(port, rack=b"r%d" % (port % 2)) for port in range(1, 9)]
        told: dict[Attendee, tuple[int, int]] = {}
        for node in nodes:
            await stage.say(node, 5)
            for other in nodes:
                told[other] = slices(other).get(KEY.hex(), told.get(other, (0, 1)))
        for rack in (b"r0", b"r1"):
            dealt = [told[node] for node in nodes if node.rack == rack]
            assert sorted(dealt) == [(0, 4), (1, 4), (2, 4), (3, 4)]

    asyncio.run(scenario())


def test_a_torrent_that_is_published_later_is_joined_then() -> None:
    """A node may hear of it before this replica does: nothing is lost, nothing is refused."""

    async def scenario() -> None:
        stage = Stage()
        await stage.swarms.forget(KEY)
        node = stage.enter(1)
        await stage.say(node, 5)
        stage.swarms.open(KEY)
        assert stage.counts() == NOBODY
        await stage.reports.take(node, Report())
        assert stage.counts() == Counts(0, 1, 0)

    asyncio.run(scenario())


def test_what_another_replica_withdrew_is_told_with_the_next_refresh() -> None:
    """The store knows that it is closed; the node is told to drop it."""

    async def scenario() -> None:
        stage = Stage()
        node = stage.enter(1)
        await stage.say(node, 0)
        node.outbox.take()
        await stage.swarms.forget(KEY)
        stage.clock.now += REFRESH_SECONDS
        await stage.reports.take(node, Report())
        (update,) = node.outbox.take()
        assert update.type == "update"
        assert update.withdrawn == (KEY.hex(),)

    asyncio.run(scenario())
