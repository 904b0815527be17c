"""Announce and scrape over HTTP, as bytes: from query strings, to bencoded replies.

Sources: BEP 3 (the protocol), BEP 7 (IPv6), BEP 21 (the event `paused`), BEP 23 (compact peers),
BEP 24 (external ip), BEP 48 (scrape). Pure: nothing here knows a socket or a store.

Two liberties. A reply is always compact, which BEP 23 allows and every client of today reads. And
`ip=` is not looked at: a peer's address is where its connection comes from, or one node could put
another's address, or a guest's, before a thousand others.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from swarm import bencode
from swarm.errors import MalformedRequest
from tracker.announce.query import AnnounceQuery, AnnounceReply, Event
from tracker.swarms.peer import IPV4_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracker.swarms.store import Counts

_HASH_BYTES = 20
_PEER_ID_BYTES = 20
_MOST_SCRAPED = 50
_MOST_BYTES = 1 << 63
_NUMBER = re.compile(rb"-?[0-9]{1,19}")


def parse_announce(query: bytes) -> AnnounceQuery:
    """Return the announce in ``query``, the raw query string without its question mark.

    Keys that are not known are passed over, as BEP 3 has clients add their own. Raises
    :class:`~swarm.errors.MalformedRequest` in a sentence for the client's log.
    """
    values = _single_values(query)
    return AnnounceQuery(
        info_hash=_exactly(values, b"info_hash", _HASH_BYTES),
        peer_id=_exactly(values, b"peer_id", _PEER_ID_BYTES),
        port=_number(values, b"port", least=1, most=65535),
        uploaded=_number(values, b"uploaded"),
        downloaded=_number(values, b"downloaded"),
        left=_number(values, b"left"),
        event=_event(values.get(b"event", b"")),
        numwant=_numwant(values),
    )


def parse_scrape(query: bytes) -> tuple[bytes, ...]:
    """Return the info-hashes that a scrape names: 1 to 50, each of 20 bytes.

    A scrape of everything is refused: it would tell a stranger what the cloud runs. Raises
    :class:`~swarm.errors.MalformedRequest`.
    """
    hashes = [value for key, value in _pairs(query) if key == b"info_hash"]
    if not 1 <= len(hashes) <= _MOST_SCRAPED:
        raise MalformedRequest(f"info_hash: name 1 to {_MOST_SCRAPED} of them")
    if any(len(value) != _HASH_BYTES for value in hashes):
        raise MalformedRequest(f"info_hash: not {_HASH_BYTES} bytes")
    return tuple(hashes)


def find_ip(query: bytes) -> bytes | None:
    """Return what `ip=` says in ``query``; only a trusted proxy is asked that."""
    return dict(_pairs(query)).get(b"ip")


def _pairs(query: bytes) -> list[tuple[bytes, bytes]]:
    """Split and decode as forms are (a plus sign is a space), but as bytes: hashes are no text."""
    halves = (field.partition(b"=") for field in query.split(b"&") if field)
    return [(_decoded(key), _decoded(value)) for key, _, value in halves]


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))


def _single_values(query: bytes) -> dict[bytes, bytes]:
    values: dict[bytes, bytes] = {}
    for key, value in _pairs(query):
        if key in values:
            raise MalformedRequest(f"{_printable(key)}: given more than once")
        values[key] = value
    return values


def _exactly(values: Mapping[bytes, bytes], key: bytes, length: int) -> bytes:
    value = values.get(key)
    if value is None:
        raise MalformedRequest(f"{_printable(key)}: missing")
    if len(value) != length:
        raise MalformedRequest(f"{_printable(key)}: {len(value)} bytes instead of {length}")
    return value


def _number(
    values: Mapping[bytes, bytes], key: bytes, *, least: int = 0, most: int = _MOST_BYTES - 1
) -> int:
    value = values.get(key)
    if value is None:
        raise MalformedRequest(f"{_printable(key)}: missing")
    if not _NUMBER.fullmatch(value) or not least <= int(value) <= most:
        raise MalformedRequest(f"{_printable(key)}: not a number from {least} to {most}")
    return int(value)


def _numwant(values: Mapping[bytes, bytes]) -> int | None:
    if b"numwant" not in values:
        return None
    wanted = _number(values, b"numwant", least=-1)
    return None if wanted < 0 else wanted  # some clients say -1 for "as you like"


def _event(value: bytes) -> Event:
    try:
        return Event(value)
    except ValueError:
        raise MalformedRequest(f"event: {_printable(value)} is none of ours") from None


def _printable(value: bytes) -> str:
    return ascii(value[:40].decode("latin-1"))[1:-1]


def encode_announce(reply: AnnounceReply) -> bytes:
    """Return ``reply`` as the client reads it; `peers` is there even when it is empty.

    libtorrent takes an answer with no list at all for a broken one.
    """
    is_ipv4 = len(reply.external_ip) == IPV4_BYTES
    message: dict[bytes, object] = {
        b"complete": reply.counts.complete,
        b"external ip": reply.external_ip,
        b"incomplete": reply.counts.incomplete,
        b"interval": reply.interval_seconds,
        b"min interval": reply.min_interval_seconds,
        b"peers": reply.peers if is_ipv4 else b"",
    }
    if not is_ipv4 and reply.peers:
        message[b"peers6"] = reply.peers
    return bencode.encode(message)


def encode_scrape(files: Mapping[bytes, Counts]) -> bytes:
    """Return the counts of each info-hash (BEP 48)."""
    return bencode.encode({b"files": {key: _file(counts) for key, counts in files.items()}})


def _file(counts: Counts) -> dict[bytes, int]:
    return {
        b"complete": counts.complete,
        b"downloaded": counts.downloaded,
        b"incomplete": counts.incomplete,
    }


def encode_failure(reason: str) -> bytes:
    """Return a refusal: one sentence, for the client's log (BEP 3)."""
    return bencode.encode({b"failure reason": reason})
