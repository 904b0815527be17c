"""What crosses the control channel (`GET /v1/control`), one JSON object for each message.

A node speaks in reports: one says what changed in all its torrents. The tracker speaks in updates:
one says all that this node has to know of since the last. Either side passes over a message that it
does not understand, as the other may be newer.

Hashes are announce hashes, 40 hex digits. Peers are compact endpoints (BEP 23, BEP 7), one after
the other, in hex: of one family, that of the channel.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, TypeAdapter

from swarm.messages import Convert, Message, Refusal, Text

AnnounceHash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
Peers = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]*$", max_length=1 << 16)]
#: Bytes that a node lacks of a torrent: 0 if it is complete there.
Left = Annotated[int, Field(ge=0, lt=1 << 63)]

#: The most torrents that one node may hold.
MOST_TORRENTS = 20_000
#: A full report of so many stays below it.
MOST_MESSAGE_BYTES = 4 << 20


class Hello(Message):
    """The first message of a node: who speaks, and where it accepts peers."""

    type: Literal["hello"] = "hello"
    role: Literal["seeder", "agent"]
    node: Annotated[Text, StringConstraints(min_length=1)]
    #: TCP port of its engine, at the address that the channel comes from; None if it has no engine.
    port: Annotated[int, Field(ge=1, le=65535)] | None = None


class Welcome(Message):
    """The tracker's answer to a hello."""

    type: Literal["welcome"] = "welcome"
    #: How often the tracker wants to hear from the node, if only an empty report.
    report_seconds: float
    #: Networks whose hosts must not be talked to, as they were cut off.
    blocked: tuple[Text, ...] = ()


class Report(Message):
    """What a node has, or what changed since its last report; an empty one says "as before"."""

    type: Literal["report"] = "report"
    #: Whether what is not in ``torrents`` is not there; the first report after a welcome is full.
    full: bool = False
    torrents: dict[AnnounceHash, Left] = Field(default_factory=dict, max_length=MOST_TORRENTS)
    #: Torrents that it left.
    gone: tuple[AnnounceHash, ...] = Field((), max_length=MOST_TORRENTS)
    #: Torrents for which it would like more peers.
    want: tuple[AnnounceHash, ...] = Field((), max_length=MOST_TORRENTS)


class SliceOf(Message):
    """The share of a torrent's pieces to fetch first: piece p if p mod ``n`` is ``k``."""

    k: Annotated[int, Field(ge=0)]
    n: Annotated[int, Field(ge=1)]


class Update(Message):
    """What a node has to know; each member is empty where there is nothing new."""

    type: Literal["update"] = "update"
    #: Peers to connect to.
    peers: dict[AnnounceHash, Peers] = Field(default_factory=dict)
    slices: dict[AnnounceHash, SliceOf] = Field(default_factory=dict)
    #: Peers that are there no more.
    left: dict[AnnounceHash, Peers] = Field(default_factory=dict)
    #: Torrents that were withdrawn: not to be shared any longer.
    withdrawn: tuple[AnnounceHash, ...] = ()
    #: Networks whose hosts were cut off, and those that are not any more.
    block: tuple[Text, ...] = ()
    unblock: tuple[Text, ...] = ()


FromNode = Annotated[Report | Refusal, Field(discriminator="type")]
FromTracker = Annotated[Welcome | Update | Convert, Field(discriminator="type")]

FROM_NODE: TypeAdapter[Report | Refusal] = TypeAdapter(FromNode)
FROM_TRACKER: TypeAdapter[Welcome | Update | Convert] = TypeAdapter(FromTracker)
