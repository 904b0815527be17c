"""Announce and scrape over HTTP, as bytes: from query strings, to bencoded replies.

Sources: BEP 3 (the protocol), BEP 7 (IPv6), BEP 21 (the event `paused`), BEP 23 (compact peers),
BEP 24 (external ip), BEP 48 (scrape). Pure: nothing here knows a socket or a store.

Two liberties. A reply is always compact, which BEP 23 allows and every client of today reads. And
`ip=` is not looked at: a peer's address is where its connection comes from, or one node could put
another's address, or a guest's, before a thousand others.
"""

from __future__ import annotations

import contextlib
import re
from binascii import unhexlify
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from swarm import bencode
from swarm.errors import MalformedRequest
from tracker.announce.query import AnnounceQuery, AnnounceReply, Event
from tracker.swarms.peer import IPV4_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tracker.swarms.store import Counts

_HASH_BYTES = 20
_PEER_ID_BYTES = 20
_MOST_SCRAPED = 50
_MOST_BYTES = 1 << 63
#: A hash with each byte quoted, as libtorrent spells it: a short way for what is in every announce.
_QUOTED_BYTES = 3 * _HASH_BYTES
_ALL_QUOTED = b"%" * _HASH_BYTES
_EVENTS = {event.value: event for event in Event}
#: What clients send; a query of these alone needs no decoding of its keys.
_USUAL_KEYS = frozenset(
    b"info_hash peer_id port uploaded downloaded left event numwant compact no_peer_id key corrupt "
    b"supportcrypto redundant requirecrypto trackerid ip ipv4 ipv6".split()
)
#: Numbers of fewer digits fit any limit by themselves, and need no second look.
_FEW_DIGITS = 19
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
    hashes = [_decoded(value) for key, value in _pairs(query) if key == b"info_hash"]
    if not 1 <= len(hashes) <= _MOST_SCRAPED:
        raise MalformedRequest(f"info_hash: name 1 to {_MOST_SCRAPED} of them")
    if any(len(value) != _HASH_BYTES for value in hashes):
        raise MalformedRequest(f"info_hash: not {_HASH_BYTES} bytes")
    return tuple(hashes)


def find_ip(query: bytes) -> bytes | None:
    """Return what `ip=` says in ``query``; only a trusted proxy is asked that."""
    value = _single_values(query).get(b"ip")
    return None if value is None else _decoded(value)


def _pairs(query: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Split as forms are, but as bytes: hashes are no text. Keys are decoded, values are not."""
    for field in query.split(b"&"):
        key, _, value = field.partition(b"=")
        if key or value:
            yield (_decoded(key) if b"%" in key or b"+" in key else key), value


def _decoded(text: bytes) -> bytes:
    """Decode what a form has encoded: a plus sign is a space."""
    if b"%" not in text and b"+" not in text:
        return text
    if len(text) == _QUOTED_BYTES and text[::3] == _ALL_QUOTED and text.count(b"%") == _HASH_BYTES:
        with contextlib.suppress(ValueError):  # what is no hexadecimal digit stays as it is
            return unhexlify(text.replace(b"%", b""))
    return unquote_to_bytes(text.replace(b"+", b" "))


#: Torrents and clients announce again and again.
_decoded_often = lru_cache(maxsize=1 << 14)(_decoded)


def _single_values(query: bytes) -> dict[bytes, bytes]:
    """Return the values by key; they are not decoded yet, as most are not looked at."""
    pairs = [field.partition(b"=")[::2] for field in query.split(b"&")]
    values = dict(pairs)
    if len(values) == len(pairs) and values.keys() <= _USUAL_KEYS:
        return values
    values = {}
    for key, value in _pairs(query):
        if key in values:
            raise MalformedRequest(f"{_printable(key)}: given more than once")
        values[key] = value
    return values


def _exactly(values: Mapping[bytes, bytes], key: bytes, length: int) -> bytes:
    value = values.get(key)
    if value is None:
        raise MalformedRequest(f"{_printable(key)}: missing")
    value = _decoded_often(value) if len(value) <= _QUOTED_BYTES else _decoded(value)
    if len(value) != length:
        raise MalformedRequest(f"{_printable(key)}: {len(value)} bytes instead of {length}")
    return value


def _number(
    values: Mapping[bytes, bytes], key: bytes, *, least: int = 0, most: int = _MOST_BYTES - 1
) -> int:
    value = values.get(key)
    if value is None:
        raise MalformedRequest(f"{_printable(key)}: missing")
    if value.isdigit() and len(value) < _FEW_DIGITS and least <= (number := int(value)) <= most:
        return number
    value = _decoded(value)
    if not _NUMBER.fullmatch(value) or not least <= int(value) <= most:
        raise MalformedRequest(f"{_printable(key)}: not a number from {least} to {most}")
    return int(value)


def _numwant(values: Mapping[bytes, bytes]) -> int | None:
    if b"numwant" not in values:
        return None
    wanted = _number(values, b"numwant", least=-1)
    return None if wanted < 0 else wanted  # some clients say -1 for "as you like"


def _event(value: bytes) -> Event:
    event = _EVENTS.get(value) or _EVENTS.get(_decoded(value))
    if event is None:
        raise MalformedRequest(f"event: {_printable(_decoded(value))} is none of ours")
    return event


def _printable(value: bytes) -> str:
    return ascii(value[:40].decode("latin-1"))[1:-1]


def encode_announce(reply: AnnounceReply) -> bytes:
    """Return ``reply`` as the client reads it; `peers` is there even when it is empty.

    libtorrent takes an answer with no list at all for a broken one.
    """
    seconds, least_seconds, (complete, incomplete, _), peers, address = reply
    if len(address) == IPV4_BYTES:
        lists = b"5:peers%d:%b" % (len(peers), peers)
    elif peers:
        lists = b"5:peers0:6:peers6%d:%b" % (len(peers), peers)
    else:
        lists = b"5:peers0:"
    # Spelt out, as it is most of what a tracker says; a test holds it against bencode.
    return (
        b"d8:completei%de11:external ip%d:%b10:incompletei%de8:intervali%de12:min intervali%de%be"
    ) % (complete, len(address), address, incomplete, seconds, least_seconds, lists)


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
