"""The codec of UDP announces: BEP 15 and BEP 41, and the sentence when something is wrong."""

from __future__ import annotations

import pytest

from swarm.errors import MalformedRequest
from tests.unit.tracker import udp_client
from tracker.announce import udp_codec as codec
from tracker.announce.query import AnnounceQuery, AnnounceReply, Event
from tracker.swarms.store import Counts

ID, NUMBER, HASH, PEER_ID = b"connecti", b"numb", b"h" * 20, b"p" * 20


def request(**changes: object) -> bytes:
    """Return an announce with some things changed."""
    values: dict[str, object] = {"port": 6881, "peer_id": PEER_ID, **changes}
    return udp_client.announce_request(ID, NUMBER, HASH, **values)  # type: ignore[arg-type]


def test_an_announce_is_understood() -> None:
    """The address in it is passed over, as is its key, which is not ours."""
    data = request(left=16384, event=2, numwant=30)
    assert codec.parse_head(data) == (ID, codec.ANNOUNCE, NUMBER)
    expected = AnnounceQuery(HASH, PEER_ID, 6881, 0, 0, 16384, Event.STARTED, 30)
    assert codec.parse_announce(data) == (expected, b"")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"port": 0}, "port: not a number from 1 to 65535"),
        ({"event": 5}, "event: 5 is none of ours"),
        ({"options": b"\x02\x05/ann"}, "options: one is cut short"),
        ({"options": b"\x02"}, "options: one is cut short"),
        ({"options": b"\x01\x07\xff"}, "options: one is cut short"),
        ({"options": b"\x02\x04/foo"}, "path: neither"),
        ({"options": b"\x02\x0d/announce/a/b"}, "path: neither"),
        ({"options": b"\x02\x08announce"}, "path: neither"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, object], complaint: str) -> None:
    """In one sentence, which becomes the error."""
    with pytest.raises(MalformedRequest, match=complaint):
        codec.parse_announce(request(**changes))


def test_the_edges_are_accepted() -> None:
    """Events by number; -1 for what is not known, or for "as many as you like"."""
    events = [Event.NONE, Event.COMPLETED, Event.STARTED, Event.STOPPED, Event.PAUSED]
    for number, event in enumerate(events):
        assert codec.parse_announce(request(event=number))[0].event is event
    query, _ = codec.parse_announce(request(port=65535, left=(1 << 64) - 1, numwant=-1))
    assert (query.port, query.left, query.numwant) == (65535, (1 << 63) - 1, None)
    assert codec.parse_announce(request(numwant=1 << 30), most_wanted=79)[0].numwant == 79


@pytest.mark.parametrize(
    ("options", "key"),
    [
        (b"", b""),
        (b"\x00\x02\xff", b""),  # nothing counts behind the end, which old clients send too
        (b"\x02\x09/announce", b""),
        (b"\x02\x01/", b""),
        (b"\x02\x0d/announce/key", b"key"),
        (b"\x02\x11/announce/key?a=b", b"key"),
        (b"\x01\x01\x02\x0d/announce/key\x01\x00", b"key"),
        (b"\x02\x06/annou\x01\x02\x07nce/key", b"key"),  # in pieces
        (b"\x07\x03odd\x02\x0d/announce/key", b"key"),  # an option of the future
    ],
)
def test_the_path_is_an_option(options: bytes, key: bytes) -> None:
    """BEP 41: the key is what follows /announce/."""
    assert codec.parse_announce(request(options=options))[1] == key


def test_a_path_longer_than_one_option_comes_in_pieces() -> None:
    """One holds at most 255 bytes."""
    url = b"/announce/" + b"k" * 300
    options = b"\x02\xff" + url[:255] + bytes([2, len(url) - 255]) + url[255:] + b"\0"
    assert codec.parse_announce(request(options=options))[1] == b"k" * 300


@pytest.mark.parametrize(
    "data",
    [
        b"",
        ID + b"\0\0\0\0abc",
        request()[:97],
        udp_client.scrape_request(ID, NUMBER),
        udp_client.scrape_request(ID, NUMBER, HASH)[:-1],
        ID + b"\0\0\0\4" + NUMBER + bytes(100),
        ID + b"\xff\xff\xff\xff" + NUMBER + bytes(100),
    ],
)
def test_what_is_cut_short_or_of_no_kind_is_no_request(data: bytes) -> None:
    """There is nothing to say to it."""
    assert codec.parse_head(data) is None


def test_scrapes_name_up_to_74() -> None:
    """In their order; a part of a hash at the end is passed over."""
    hashes = [bytes([number]) * 20 for number in range(75)]
    assert codec.parse_scrape(udp_client.scrape_request(ID, NUMBER, *hashes[:74], b"odd")) == tuple(
        hashes[:74]
    )
    with pytest.raises(MalformedRequest, match="info_hash: name 1 to 74"):
        codec.parse_scrape(udp_client.scrape_request(ID, NUMBER, *hashes))


def test_answers_are_as_bep_15_has_them() -> None:
    """The transaction id, then big-endian numbers, leechers before seeders."""
    reply = AnnounceReply(30, 5, Counts(1, 2, 3), b"\x7f\0\0\1\x1a\xe1", bytes(4))
    assert codec.encode_announce(NUMBER, reply) == (
        b"\0\0\0\1numb\0\0\0\x1e\0\0\0\2\0\0\0\1\x7f\0\0\1\x1a\xe1"
    )
    assert codec.encode_connect(NUMBER, ID) == b"\0\0\0\0numbconnecti"
    counts = {HASH: Counts(1, 2, 3)}
    assert codec.encode_scrape(NUMBER, [b"x" * 20, HASH], counts) == (
        b"\0\0\0\2numb" + bytes(12) + b"\0\0\0\1\0\0\0\3\0\0\0\2"
    )
    assert codec.encode_error(NUMBER, "no") == b"\0\0\0\3numbno"


def test_an_answer_fits_a_frame() -> None:
    """1472 bytes of IPv4 and 1452 of IPv6, with whole peers, whatever the tracker hands out."""
    for address, width, most in ((bytes(4), 6, 1472), (bytes(16), 18, 1452)):
        reply = AnnounceReply(30, 5, Counts(1, 2, 3), bytes(width * 5000), address)
        answer = codec.encode_announce(NUMBER, reply)
        assert len(answer) == 20 + width * codec.MOST_PEERS[len(address)] <= most
    assert len(codec.encode_error(NUMBER, "long " * 1000)) <= 1452
