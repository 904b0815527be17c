"""Announce and scrape over UDP, as bytes: from datagrams, to datagrams.

Sources: BEP 15 (the protocol), BEP 41 (the path of the announce URL as an option), BEP 21 (the
event `paused`, which libtorrent sends as number 4). Pure: nothing here knows a socket or a store.

The address that a client puts into its announce is not looked at, as `ip=` is not over HTTP: a
peer's address is where its datagrams come from. Whether peers are of 6 or 18 bytes is decided by
the family that the datagram came in.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from swarm.errors import MalformedRequest
from tracker.announce.query import AnnounceQuery, AnnounceReply, Event
from tracker.swarms.peer import COMPACT_IPV4_BYTES, COMPACT_IPV6_BYTES, IPV4_BYTES, IPV6_BYTES
from tracker.swarms.store import NOBODY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tracker.swarms.store import Counts

#: What each connect request begins with.
PROTOCOL_ID = (0x41727101980).to_bytes(8, "big")
CONNECT, ANNOUNCE, SCRAPE, ERROR = range(4)

#: Connection id (or the protocol's), action, transaction id.
_HEAD = struct.Struct(">8sI4s")
HEAD_BYTES = _HEAD.size
# ... downloaded, left, uploaded, event, (address), (key), num_want, port.
_ANNOUNCE = struct.Struct(">16x20s20sQQQI8xiH")
ANNOUNCE_BYTES = _ANNOUNCE.size
#: Takes an announce of at least 98 bytes; returns what has to be looked at even if it is none that
#: is new: connection id, action, transaction id, info-hash, peer id, left, event (a number),
#: num_want and port (2 bytes). Nothing of it is checked.
parse_renewal = struct.Struct(">8sI4s20s20s8xQ8xI8xi2s").unpack_from
_HASH_BYTES = 20
#: BEP 15 says about 74, so that the datagram needs no fragments.
MOST_SCRAPED = 74
#: The largest request that is looked at: a full scrape, or an announce with seven full options.
MOST_BYTES = 2048
#: The largest list of peers: with 20 bytes before it, it fits an Ethernet frame in both families.
_MOST_PEER_BYTES = 79 * COMPACT_IPV6_BYTES
_MOST_REASON_BYTES = 400
MOST_LEFT = (1 << 63) - 1

_EVENTS = (Event.NONE, Event.COMPLETED, Event.STARTED, Event.STOPPED, Event.PAUSED)

_END_OF_OPTIONS, _NOP, _URL_DATA = range(3)

_ANNOUNCE_ANSWER = struct.Struct(">I4sIII")
FOUND_BYTES = _ANNOUNCE_ANSWER.size
_COUNTS = struct.Struct(">III")


#: What all requests begin with: a connection id; an action; and a transaction id, which the answer
#: has as well. Plain tuples, as a hundred thousand a second are made.
Head = tuple[bytes, int, bytes]
_LEAST_BYTES = {CONNECT: HEAD_BYTES, ANNOUNCE: ANNOUNCE_BYTES, SCRAPE: HEAD_BYTES + _HASH_BYTES}


def parse_head(data: bytes) -> Head | None:
    """Return what ``data`` begins with, or None if it is too short for any request of BEP 15.

    An announce or a scrape that is cut short is none either.
    """
    size = len(data)
    if size < HEAD_BYTES:
        return None
    head: Head = _HEAD.unpack_from(data)
    return head if size >= _LEAST_BYTES.get(head[1], MOST_BYTES + 1) else None


#: How many peers fit an answer, by the size of an address: 237, or 79 over IPv6.
MOST_PEERS = {
    IPV4_BYTES: _MOST_PEER_BYTES // COMPACT_IPV4_BYTES,
    IPV6_BYTES: _MOST_PEER_BYTES // COMPACT_IPV6_BYTES,
}


def parse_announce(data: bytes, *, most_wanted: int = 79) -> tuple[AnnounceQuery, bytes]:
    """Return the announce in ``data``, of at least 98 bytes, and the key in its path (BEP 41).

    A client that wants more than ``most_wanted`` peers wants so many. Raises
    :class:`~swarm.errors.MalformedRequest` in a sentence for the client's log.
    """
    info_hash, peer_id, downloaded, left, uploaded, event, numwant, port = _ANNOUNCE.unpack_from(
        data
    )
    if port == 0:
        raise MalformedRequest("port: not a number from 1 to 65535")
    if event >= len(_EVENTS):
        raise MalformedRequest(f"event: {event} is none of ours")
    if (downloaded | left | uploaded) > MOST_LEFT:
        # -1 is how some say that they do not know yet.
        downloaded, left, uploaded = (
            min(downloaded, MOST_LEFT),
            min(left, MOST_LEFT),
            min(uploaded, MOST_LEFT),
        )
    query = AnnounceQuery(
        info_hash,
        peer_id,
        port,
        uploaded,
        downloaded,
        left,
        _EVENTS[event],
        None if numwant < 0 else min(numwant, most_wanted),
    )
    return query, key_in(parse_options(data)) if len(data) > ANNOUNCE_BYTES else b""


def parse_options(data: bytes) -> bytes:
    """Return the path and query of the announce URL, out of the options of an announce (BEP 41).

    It may come in several pieces, which are joined. Options that are not known are passed over; so
    is everything behind the end of them. Raises :class:`~swarm.errors.MalformedRequest` for an
    option that is longer than the datagram.
    """
    url = b""
    at, end = ANNOUNCE_BYTES, len(data)
    while at < end and data[at] != _END_OF_OPTIONS:
        if data[at] == _NOP:
            at += 1
            continue
        value = at + 2
        at = value + data[at + 1] if value <= end else end + 1
        if at > end:
            raise MalformedRequest("options: one is cut short")
        if data[value - 2] == _URL_DATA:
            url += data[value:at]
    return url


def key_in(url: bytes) -> bytes:
    """Return the key in ``/announce/KEY?...``; it is empty in ``/announce``, ``/`` and nothing.

    Raises :class:`~swarm.errors.MalformedRequest` for any other path.
    """
    path = url.partition(b"?")[0]
    if path in {b"", b"/", b"/announce", b"/announce/"}:
        return b""
    prefix, _, key = path[1:].partition(b"/")
    if path[:1] != b"/" or prefix != b"announce" or b"/" in key:
        raise MalformedRequest("path: neither /announce nor /announce/KEY")
    return key


def parse_scrape(data: bytes) -> tuple[bytes, ...]:
    """Return the info-hashes that a scrape of at least 36 bytes names: 1 to 74.

    What is left over behind the last whole one is passed over. Raises
    :class:`~swarm.errors.MalformedRequest`.
    """
    count = (len(data) - HEAD_BYTES) // _HASH_BYTES
    if count > MOST_SCRAPED:
        raise MalformedRequest(f"info_hash: name 1 to {MOST_SCRAPED} of them")
    starts = range(HEAD_BYTES, HEAD_BYTES + count * _HASH_BYTES, _HASH_BYTES)
    return tuple(data[start : start + _HASH_BYTES] for start in starts)


def encode_connect(transaction_id: bytes, connection_id: bytes) -> bytes:
    """Return the answer to a connect request: as long as the request, 16 bytes."""
    return CONNECT.to_bytes(4, "big") + transaction_id + connection_id


def encode_announce(transaction_id: bytes, reply: AnnounceReply) -> bytes:
    """Return the answer to an announce: 20 bytes, and the peers."""
    complete, incomplete, _ = reply.counts
    return encode_found(transaction_id, reply.interval_seconds, complete, incomplete, reply.peers)


def encode_found(
    transaction_id: bytes, interval_seconds: int, complete: int, incomplete: int, peers: bytes
) -> bytes:
    """Return the answer to an announce of these parts; ``peers`` are as many as fit."""
    head = _ANNOUNCE_ANSWER.pack(ANNOUNCE, transaction_id, interval_seconds, incomplete, complete)
    return head + peers[:_MOST_PEER_BYTES]


def encode_scrape(
    transaction_id: bytes, info_hashes: Sequence[bytes], files: Mapping[bytes, Counts]
) -> bytes:
    """Return the counts of each of ``info_hashes`` in their order; zeros for what is not known."""
    counts = (files.get(info_hash, NOBODY) for info_hash in info_hashes)
    entries = (_COUNTS.pack(c.complete, c.downloaded, c.incomplete) for c in counts)
    return SCRAPE.to_bytes(4, "big") + transaction_id + b"".join(entries)


def encode_error(transaction_id: bytes, reason: str) -> bytes:
    """Return a refusal: one sentence, for the client's log; cut if it is a long one."""
    text = reason.encode("utf-8", "replace")[:_MOST_REASON_BYTES]
    return ERROR.to_bytes(4, "big") + transaction_id + text
