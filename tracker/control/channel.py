"""`GET /v1/control`: the WebSocket between the tracker and a node.

A node says who it is and where it accepts peers, then sends reports, and a seeder refusals; it gets
updates, and a seeder demands. Nothing is lost with a channel: a node that connects again says all
that it has, is told all that concerns it, and meanwhile its engine announces as any client does.

One task reads and one writes. What is to be written waits in the node's outbox, which is bounded by
what the node holds; a node that does not read in time loses its channel.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

import pydantic
from aiohttp import WSCloseCode, WSMsgType, web

from swarm.control_messages import FROM_NODE, MOST_MESSAGE_BYTES, Hello, Report, Welcome
from swarm.deadline import within
from swarm.endings import end
from swarm.errors import Unavailable
from swarm.web import auth, remote
from swarm.web.routes import Access, Route
from tracker.control.outbox import Outbox
from tracker.control.roster import Attendee, Roster
from tracker.demands import MOST_DEMANDS
from tracker.metrics import Counters, reason_of
from tracker.swarms.peer import Peer, compact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from swarm.control_messages import Update
    from swarm.messages import Convert, Refusal
    from tracker.control.reports import Reports
    from tracker.demands import Demands

_LOG = logging.getLogger(__name__)

_HELLO_SECONDS = 10.0
_HEARTBEAT_SECONDS = 15.0
_CLOSE_SECONDS = 1.0
#: A node that does not take a message for so long is given up.
_SEND_SECONDS = 10.0
#: Between two messages to one node; what comes meanwhile goes into the next.
_PAUSE_SECONDS = 0.02
#: Demands that wait for a slow seeder; with more, its channel is given up. One that connects may be
#: sent all there are at once.
_MOST_WAITING = 2 * MOST_DEMANDS
_UNREAD = (WSCloseCode.TRY_AGAIN_LATER, "channel given up")
_PEER_ID_PREFIX = b"-GSchan-"


class Caller(NamedTuple):
    """Who opened a channel, as far as its credentials say."""

    #: None where nobody is asked who they are.
    node: str | None
    rack: bytes
    address: bytes
    may_publish: bool


class Channel:
    """The channel of one node."""

    def __init__(
        self,
        attendee: Attendee,
        socket: web.WebSocketResponse,
        *,
        address: bytes,
        counters: Counters,
    ) -> None:
        self.attendee = attendee
        self._flow = counters.control.of(address)
        self._failures = counters.control.failures
        self._pushes = counters.pushes
        self._socket = socket
        self._sending: asyncio.Task[None] | None = None
        #: Why it is closed from this side, once that is decided.
        self._end: tuple[WSCloseCode, str] | None = None

    @property
    def node(self) -> str:
        """The node's name, by which demands know a seeder."""
        return self.attendee.node

    def ask(self, demand: Convert) -> None:
        """Queue a demand; a seeder that has stopped reading loses its channel."""
        if not self.attendee.outbox.demand(demand):
            _LOG.warning("seeder %s does not read its demands: channel given up", self.node)
            self.give_up(*_UNREAD)

    def give_up(self, code: WSCloseCode, why: str) -> None:
        """Close the channel soon, from this side."""
        self._end = (code, why)
        if self._sending is not None:
            self._sending.cancel()

    async def run(self, reports: Reports, demands: Demands) -> None:
        """Carry messages both ways until one side closes, or the node is given up."""
        if self._end is None:
            await self._carry(reports, demands)
        code, why = self._end or _UNREAD
        await _close(self._socket, code, why.encode())

    async def _carry(self, reports: Reports, demands: Demands) -> None:
        receiving = asyncio.create_task(
            self._receive(reports, demands), name=f"receive from {self.node}"
        )
        self._sending = asyncio.create_task(self._send(), name=f"send to {self.node}")
        tasks = (receiving, self._sending)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            errors = await end(*tasks)
        for error in errors:
            # A connection that breaks while a message leaves is what channels do.
            if not isinstance(error, ConnectionError):
                raise error

    async def _send(self) -> None:
        outbox = self.attendee.outbox
        while True:
            await outbox.has_news.wait()
            for message in outbox.take():
                if not await self.say(message):
                    return
            await asyncio.sleep(_PAUSE_SECONDS)

    async def say(self, message: Welcome | Update | Convert) -> bool:
        """Send a message; False if the node did not take it in time."""
        text = message.model_dump_json()
        self._pushes[message.type] += 1
        self._flow.tx_bytes += len(text)
        try:
            await within(_SEND_SECONDS, self._socket.send_str(text))
        except asyncio.TimeoutError:
            _LOG.warning("node %s does not read: channel given up", self.node)
            return False
        return True

    async def _receive(self, reports: Reports, demands: Demands) -> None:
        async for message in self._socket:
            self._flow.rx_bytes += len(message.data)
            said = self._understood(message.data)
            if isinstance(said, Report):
                self._flow.reports += 1
                try:
                    await reports.take(self.attendee, said)
                except Unavailable as error:
                    # The next report says it again.
                    self._failures[reason_of(error)] += 1
                    _LOG.warning("node %s: a report was not taken: %s", self.node, error)
            elif said is not None:
                demands.refuse(self.node, said)

    def _understood(self, data: str | bytes) -> Report | Refusal | None:
        try:
            return FROM_NODE.validate_json(data)
        except pydantic.ValidationError:
            self._failures["malformed_request"] += 1
            _LOG.warning("node %s: message not understood: %.200r", self.node, data)
            return None


class Control:
    """The handler, and all open channels."""

    def __init__(
        self,
        roster: Roster,
        reports: Reports,
        demands: Demands,
        *,
        group: Callable[[bytes], bytes],
        rack_of: Callable[[bytes], bytes],
        report_seconds: float,
        counters: Counters | None = None,
        most_waiting: int = _MOST_WAITING,
        on_presence: Callable[[str, Attendee], None] = lambda *_: None,
    ) -> None:
        self._roster = roster
        self._reports = reports
        self._demands = demands
        self._group = group
        self._rack_of = rack_of
        self._report_seconds = report_seconds
        self._counters = Counters() if counters is None else counters
        self._most_waiting = most_waiting
        #: Called with what happened (connected or disconnected), and the node.
        self._on_presence = on_presence
        self._channels: set[Channel] = set()
        self._sockets: set[web.WebSocketResponse] = set()
        self._blocked: dict[str, tuple[str, ...]] = {}

    def routes(self) -> list[Route]:
        """Return the table."""
        return [
            Route(
                "GET",
                "/v1/control",
                self._serve,
                "The WebSocket between the tracker and a node",
                Access.NODE,
                status=HTTPStatus.SWITCHING_PROTOCOLS,
                problems=(400,),
            )
        ]

    def __len__(self) -> int:
        return len(self._channels)

    def channel_counts(self) -> dict[str, int]:
        """Return how many channels are open, by role."""
        return Counter(channel.attendee.role for channel in self._channels)

    def is_connected(self, node: str) -> bool:
        """Return whether a node has a channel here."""
        return any(channel.node == node for channel in self._channels)

    def cut(self, node: str, networks: Iterable[str]) -> None:
        """End a node's channels, and have no other node talk to its networks any more."""
        self._blocked[node] = tuple(networks)
        for channel in self._channels:
            if channel.node == node:
                channel.give_up(WSCloseCode.POLICY_VIOLATION, "your key was revoked")
            else:
                channel.attendee.outbox.block(self._blocked[node], is_blocked=True)

    def drop(self, node: str) -> None:
        """End a node's channels: it may come back with a key that is valid."""
        for channel in self._channels:
            if channel.node == node:
                channel.give_up(WSCloseCode.TRY_AGAIN_LATER, "your key was replaced")

    def restore(self, node: str) -> None:
        """Let the others talk to a node again."""
        networks = self._blocked.pop(node, ())
        for channel in self._channels if networks else ():
            channel.attendee.outbox.block(networks, is_blocked=False)

    async def close(self) -> None:
        """Close every channel; nodes come back when a tracker does."""
        sockets = list(self._sockets)
        await asyncio.gather(*(_close(s, WSCloseCode.GOING_AWAY, b"shutdown") for s in sockets))

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        address = remote.address_of(request)
        who = auth.caller()
        caller = Caller(who.node, self._rack_of(address), address, Access.SEEDER in who.may)
        socket = web.WebSocketResponse(
            timeout=_CLOSE_SECONDS,
            heartbeat=_HEARTBEAT_SECONDS,
            max_msg_size=MOST_MESSAGE_BYTES,
            compress=False,
        )
        await socket.prepare(request)
        self._sockets.add(socket)
        try:
            hello = await _hello(socket)
            if hello is None:
                await _close(socket, WSCloseCode.POLICY_VIOLATION, b"the first message is a hello")
            elif hello.role == "seeder" and not caller.may_publish:
                _LOG.warning("node %s may not publish, and is no seeder", caller.node)
                await _close(socket, WSCloseCode.POLICY_VIOLATION, b"this node may not publish")
            else:
                attendee = self._attendee(hello, caller)
                await self._run(Channel(attendee, socket, address=address, counters=self._counters))
        finally:
            self._sockets.discard(socket)
            if request.transport is not None:
                request.transport.abort()  # else a node that does not read keeps it open
        return socket

    def _attendee(self, hello: Hello, caller: Caller) -> Attendee:
        peer = None
        if hello.port is not None:
            peer_id = _PEER_ID_PREFIX + os.urandom(20 - len(_PEER_ID_PREFIX))
            endpoint = compact(caller.address, hello.port)
            peer = Peer(peer_id, endpoint, 0, self._group(caller.rack))
        return Attendee(
            caller.node or hello.node,
            hello.role,
            rack=caller.rack,
            peer=peer,
            outbox=Outbox(most_demands=self._most_waiting),
        )

    async def _run(self, channel: Channel) -> None:
        attendee = channel.attendee
        _LOG.info("%s %s is connected", attendee.role, attendee.node)
        self._channels.add(channel)
        self._roster.enter(attendee)
        if attendee.role == "seeder":
            self._demands.join(channel)
        self._on_presence("connected", attendee)
        try:
            await self._welcome(channel)
            await channel.run(self._reports, self._demands)
        finally:
            self._channels.discard(channel)
            self._demands.leave(channel)
            await self._see_off(attendee)
            self._on_presence("disconnected", attendee)
            _LOG.info("%s %s is gone", attendee.role, attendee.node)

    async def _see_off(self, attendee: Attendee) -> None:
        """Let a node be absent for a while; one that was cut off is forgotten at once."""
        if attendee.node in self._blocked:
            try:
                await self._reports.expel(attendee)
            except Unavailable as error:
                _LOG.warning(
                    "node %s stays listed until its time is over: %s", attendee.node, error
                )
        self._roster.exit(attendee)

    async def _welcome(self, channel: Channel) -> None:
        blocked = tuple(name for networks in self._blocked.values() for name in networks)
        welcome = Welcome(report_seconds=self._report_seconds, blocked=blocked)
        await channel.say(welcome)


async def _hello(socket: web.WebSocketResponse) -> Hello | None:
    try:
        message = await within(_HELLO_SECONDS, socket.receive())
    except asyncio.TimeoutError:
        return None
    if message.type is not WSMsgType.TEXT:
        return None
    try:
        return Hello.model_validate_json(message.data)
    except pydantic.ValidationError:
        _LOG.warning("control channel: not a hello: %.200s", message.data)
        return None


async def _close(socket: web.WebSocketResponse, code: WSCloseCode, reason: bytes) -> None:
    """Say good-bye; does nothing to a socket that is closed."""
    try:
        await within(2 * _CLOSE_SECONDS, socket.close(code=code, message=reason))
    except asyncio.TimeoutError:
        _LOG.warning("a control channel did not close in time")
