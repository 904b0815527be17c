"""The announce codec: what each key may be, and the sentence when it is not."""

from __future__ import annotations

import pytest

from swarm import bencode
from swarm.errors import MalformedRequest
from tracker.announce import codec
from tracker.announce.query import AnnounceQuery, AnnounceReply, Event
from tracker.swarms.store import Counts

GOOD = {
    b"info_hash": b"%00" * 20,
    b"peer_id": b"-LT2110-abcdefghijkl",
    b"port": b"6881",
    b"uploaded": b"0",
    b"downloaded": b"0",
    b"left": b"16384",
}


def query(**changes: bytes | None) -> bytes:
    """Return a good query with some keys changed, or left out for None."""
    keys = {**GOOD, **{key.encode(): value for key, value in changes.items()}}
    return b"&".join(key + b"=" + value for key, value in keys.items() if value is not None)


def test_what_libtorrent_sends_is_understood() -> None:
    """Keys that are not ours are passed over, `ip` among them."""
    rest = b"&corrupt=0&key=4B3F22A1&event=started&numwant=200&compact=1&no_peer_id=1"
    rest += b"&supportcrypto=1&redundant=0&ip=192.0.2.1"
    assert codec.parse_announce(query() + rest) == AnnounceQuery(
        info_hash=bytes(20),
        peer_id=b"-LT2110-abcdefghijkl",
        port=6881,
        uploaded=0,
        downloaded=0,
        left=16384,
        event=Event.STARTED,
        numwant=200,
    )


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"info_hash": None}, "info_hash: missing"),
        ({"info_hash": b"%00" * 19}, "info_hash: 19 bytes instead of 20"),
        ({"info_hash": b"%zz" * 20}, "info_hash: 60 bytes instead of 20"),
        ({"peer_id": b"short"}, "peer_id: 5 bytes"),
        ({"port": b"0"}, "port: not a number from 1 to 65535"),
        ({"port": b"65536"}, "port: not"),
        ({"port": b"6_8"}, "port: not"),
        ({"port": b"%D9%A1"}, "port: not"),  # an Arabic digit, which int() takes
        ({"port": b"1" * 5000}, "port: not"),
        ({"left": None}, "left: missing"),
        ({"left": b"-1"}, "left: not"),
        ({"left": b"9223372036854775808"}, "left: not"),
        ({"uploaded": b""}, "uploaded: not"),
        ({"downloaded": b"1e3"}, "downloaded: not"),
        ({"numwant": b"many"}, "numwant: not"),
        ({"event": b"%1b[2J"}, r"event: \\x1b\[2J is none of ours"),
        ({"port": b"1&port=2"}, "port: given more than once"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, bytes | None], complaint: str) -> None:
    """In one printable sentence, which becomes the failure reason."""
    with pytest.raises(MalformedRequest, match=complaint):
        codec.parse_announce(query(**changes))


def test_the_edges_are_accepted() -> None:
    """The largest figures; -1 for "as many as you like"; the events that clients send."""
    parsed = codec.parse_announce(query(port=b"65535", left=b"9223372036854775807", numwant=b"-1"))
    assert (parsed.port, parsed.left, parsed.numwant) == (65535, (1 << 63) - 1, None)
    for event in Event:
        assert codec.parse_announce(query(event=event.value)).event is event


def test_scrapes_name_what_they_want() -> None:
    """One to fifty hashes; not everything."""
    assert codec.parse_scrape(b"info_hash=" + b"a" * 20) == (b"a" * 20,)
    many = b"&".join([b"info_hash=" + b"a" * 20] * 51)
    for bad in (b"", b"info_hash=short", many):
        with pytest.raises(MalformedRequest, match="info_hash"):
            codec.parse_scrape(bad)


@pytest.mark.parametrize(
    ("address", "peers", "peers6"),
    [
        (bytes(4), bytes([192, 0, 2, 1, 0x1A, 0xE1]), None),
        (bytes(4), b"", None),
        (bytes(16), b"", bytes(15) + b"\x01\x01\x02"),
        (bytes(16), b"", b""),
    ],
)
def test_a_reply_is_compact_and_canonical(
    address: bytes, peers: bytes, peers6: bytes | None
) -> None:
    """6 bytes for each IPv4 peer, 18 for each IPv6 one (BEP 23, BEP 7), as the asker is one."""
    reply = AnnounceReply(30, 5, Counts(1, 2, 3), peers6 if peers6 is not None else peers, address)
    expected = {
        b"complete": 1,
        b"external ip": address,
        b"incomplete": 2,
        b"interval": 30,
        b"min interval": 5,
        b"peers": peers,
        **({b"peers6": peers6} if peers6 else {}),
    }
    assert bencode.decode(codec.encode_announce(reply)) == expected
