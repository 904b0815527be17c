"""What a node's report leads to: the store is told, and so is everybody whom it concerns.

A newcomer in a swarm gets its handout at once, and those in it that know few peers are told of the
newcomer. A node that lacks something gets a slice. Everything goes into outboxes; nothing here
waits for a node.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tracker.handout.slices import Deal
from tracker.metrics import Counters
from tracker.swarms.peer import address_of, split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from swarm.control_messages import Report
    from tracker.announce.announce import Announcer
    from tracker.control.roster import Attendee, Holding, Roster
    from tracker.handout.slices import Slice
    from tracker.swarms.store import Swarms

#: How often leaves are told, and absent nodes forgotten.
_TIDY_SECONDS = 1.0
#: So many swarms are joined in one go.
_FEW_JOINS = 8
#: When more than that leave one torrent at once, who is gone is found out sooner by asking them.
_MOST_PARTED = 64


class Reports:
    """Takes in the reports of all nodes.

    ``refresh_seconds`` is how often all that a node holds is said to the store again, well within
    the lifetime of a peer there. ``on_change`` is called with what happened (joined, completed or
    left), the node and the torrent.
    """

    def __init__(
        self,
        swarms: Swarms,
        announcer: Announcer,
        roster: Roster,
        *,
        refresh_seconds: float,
        counters: Counters | None = None,
        on_change: Callable[[str, Attendee, bytes], None] = lambda *_: None,
    ) -> None:
        self._swarms = swarms
        self._announcer = announcer
        self._roster = roster
        self._refresh_seconds = refresh_seconds
        self._counters = Counters() if counters is None else counters
        self._on_change = on_change
        self._deals: dict[tuple[bytes, bytes], Deal] = {}
        self._parted: dict[bytes, list[bytes]] = {}
        #: Of nodes that come with many torrents. After a restart of the tracker that is all of them
        #: at once: who boots an image meanwhile, and the API, must not wait for them.
        self._one_at_a_time = asyncio.Lock()

    async def take(self, attendee: Attendee, report: Report) -> None:
        """Act on a report; an attendee that takes part in no swarm has nothing to report.

        Raises :class:`~swarm.errors.Unavailable` if the store can't be reached; what was not told
        it then is told with the next report.
        """
        if attendee.peer is None:
            return
        said = {bytes.fromhex(key): left for key, left in report.torrents.items()}
        gone = [bytes.fromhex(key) for key in report.gone]
        if report.full:
            gone += [key for key in attendee.holdings if key not in said]
        self._part(attendee, gone)
        changed = self._note(attendee, said)
        if gone:
            await self._swarms.leave(attendee.peer.endpoint, gone)
        await self._refresh(attendee, changed)
        for key in report.want:
            await self._introduce_again(attendee, bytes.fromhex(key))
        await self._join_all(attendee)

    def _note(self, attendee: Attendee, said: dict[bytes, int]) -> list[bytes]:
        """Take down what is said of holdings; return those that the store knows otherwise."""
        changed = []
        for key, left in said.items():
            former = attendee.holdings.get(key)
            before = None if former is None else former.left
            holding = self._roster.hold(attendee, key, left)
            if not holding.is_counted or before == left:
                continue
            if not left:
                holding.is_counted = False  # completing is an event of its own: see _join
            else:
                changed.append(key)
        return changed

    async def _refresh(self, attendee: Attendee, changed: list[bytes]) -> None:
        """Keep alive what the store has of a node, and tell it what is new."""
        assert attendee.peer is not None  # noqa: S101 - `take` looked
        if changed:
            holdings = [(key, attendee.holdings[key].left) for key in changed]
            await self._swarms.report(attendee.peer, holdings)
        now = self._roster.clock()
        if now - attendee.refreshed_at < self._refresh_seconds:
            return
        self._withdraw_closed(attendee)
        holdings = [(key, held.left) for key, held in attendee.holdings.items() if held.is_counted]
        await self._swarms.renew(attendee.peer, holdings)
        attendee.refreshed_at = now

    def _withdraw_closed(self, attendee: Attendee) -> None:
        """Tell what was withdrawn at another replica meanwhile."""
        for key, holding in attendee.holdings.items():
            if holding.is_counted and not self._swarms.is_open(key):
                holding.is_counted = False
                attendee.outbox.withdraw(key)

    async def _join_all(self, attendee: Attendee) -> None:
        waiting = [
            key
            for key, holding in attendee.holdings.items()
            if not holding.is_counted and self._swarms.is_open(key)
        ]
        if len(waiting) <= _FEW_JOINS:
            for key in waiting:
                await self._join(attendee, key, attendee.holdings[key])
            return
        async with self._one_at_a_time:
            for number, key in enumerate(waiting):
                if key in attendee.holdings:
                    await self._join(attendee, key, attendee.holdings[key])
                if not number % _FEW_JOINS:
                    await asyncio.sleep(0)

    async def _join(self, attendee: Attendee, key: bytes, holding: Holding) -> None:
        """Let a node into a swarm, or take down that it has become complete there."""
        assert attendee.peer is not None  # noqa: S101 - `take` looked
        peer, has_met = attendee.peer._replace(left=holding.left), holding.met > 0
        count = self._announcer.count(None)
        completes = not holding.left and self._is_dealt_in(attendee, key)
        answer = await self._swarms.announce(
            key, peer, has_completed=completes, is_reported=True, want=count
        )
        holding.is_counted = True
        if completes:
            self._leave_deal(attendee, key)
            self._on_change("completed", attendee, key)
        elif holding.left:  # who has it all was here before, as far as anybody cares
            self._on_change("joined", attendee, key)
        if completes and has_met:
            return  # it knows them all
        peers = self._announcer.handout(answer.others, answer.drawn, count=count, asker=peer)
        self._introduce(attendee, key, holding, peers, count)
        if holding.left and attendee.role == "agent":
            self._enter_deal(attendee, key)

    async def _introduce_again(self, attendee: Attendee, key: bytes) -> None:
        """Give a node more peers, as it says that it needs some."""
        assert attendee.peer is not None  # noqa: S101 - `take` looked
        holding = attendee.holdings.get(key)
        if holding is None or not holding.is_counted or not self._swarms.is_open(key):
            return
        peer, count = attendee.peer._replace(left=holding.left), self._announcer.count(None)
        answer = await self._swarms.announce(key, peer, is_reported=True, want=count)
        peers = self._announcer.handout(answer.others, answer.drawn, count=count, asker=peer)
        holding.met = 0
        self._introduce(attendee, key, holding, peers, count)

    def _introduce(
        self, attendee: Attendee, key: bytes, holding: Holding, peers: bytes, count: int
    ) -> None:
        """Tell a node of peers, and those of them that know few of the node."""
        assert attendee.peer is not None  # noqa: S101 - `take` looked
        endpoint = attendee.peer.endpoint
        endpoints = split(peers, len(endpoint))
        if not endpoints:
            return
        self._counters.handed_out(peers, address_of(endpoint))
        holding.met += len(endpoints)
        attendee.outbox.introduce(key, endpoints)
        self._roster.introduce(key, endpoint, endpoints, most=count)

    def _part(self, attendee: Attendee, keys: Iterable[bytes]) -> None:
        """Forget holdings; the others hear of it with the next tidying."""
        assert attendee.peer is not None  # noqa: S101 - callers looked
        for key in keys:
            if key not in attendee.holdings:
                continue
            self._roster.drop(attendee, key)
            self._leave_deal(attendee, key)
            self._parted.setdefault(key, []).append(attendee.peer.endpoint)
            self._on_change("left", attendee, key)

    def _is_dealt_in(self, attendee: Attendee, key: bytes) -> bool:
        deal = self._deals.get(self._deal_key(attendee, key))
        return deal is not None and attendee.peer is not None and attendee.peer.endpoint in deal

    @staticmethod
    def _deal_key(attendee: Attendee, key: bytes) -> tuple[bytes, bytes]:
        return key, attendee.rack

    def _enter_deal(self, attendee: Attendee, key: bytes) -> None:
        assert attendee.peer is not None  # noqa: S101 - callers looked
        deal = self._deals.setdefault(self._deal_key(attendee, key), Deal())
        self._tell_slices(key, deal.join(attendee.peer.endpoint))

    def _leave_deal(self, attendee: Attendee, key: bytes) -> None:
        deal_key = self._deal_key(attendee, key)
        deal = self._deals.get(deal_key)
        if deal is None or attendee.peer is None:
            return
        self._tell_slices(key, deal.leave(attendee.peer.endpoint))
        if not deal:
            del self._deals[deal_key]

    def _tell_slices(self, key: bytes, slices: dict[bytes, Slice]) -> None:
        for endpoint, slice_ in slices.items():
            holder = self._roster.holder(key, endpoint)
            if holder is not None:
                holder.outbox.deal(key, slice_)

    async def expel(self, attendee: Attendee) -> None:
        """Forget a node at once, with all that it holds: it was cut off."""
        keys = list(attendee.holdings)
        self._part(attendee, keys)
        if attendee.peer is not None:
            await self._swarms.leave(attendee.peer.endpoint, keys)

    def withdraw(self, key: bytes) -> None:
        """Tell all who hold a torrent that it is withdrawn."""
        for attendee in self._roster.holders(key):
            attendee.holdings[key].is_counted = False
            attendee.outbox.withdraw(key)

    async def tidy_for_ever(self) -> None:
        """Tidy now and then; runs until cancelled by who started it."""
        while True:
            await asyncio.sleep(_TIDY_SECONDS)
            self.tidy()

    def tidy(self) -> None:
        """Forget the absent whose time is over, and tell the others who has left.

        The store is not told: an absent node may announce as any client does; if it does not, its
        time ends there too.
        """
        for attendee in self._roster.overdue():
            self._part(attendee, list(attendee.holdings))
        parted, self._parted = self._parted, {}
        for key, endpoints in parted.items():
            self._tell_parted(key, endpoints)

    def _tell_parted(self, key: bytes, endpoints: list[bytes]) -> None:
        if len(endpoints) > _MOST_PARTED:
            return
        for attendee in self._roster.holders(key):
            if attendee.holdings[key].left:
                attendee.outbox.part(key, endpoints)
