"""Whatever comes in a datagram: understood or refused by us, and never answered with more."""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.errors import MalformedRequest
from swarm.listeners import UDP, bind_all
from tests.unit.tracker import udp_client
from tracker.announce import udp
from tracker.announce import udp_codec as codec
from tracker.announce.announce import Announcer, Terms
from tracker.announce.connection_id import ConnectionIds
from tracker.announce.query import AnnounceQuery, AnnounceReply, Event
from tracker.announce.udp_answers import AnnounceUdp
from tracker.handout.uniform import Uniform
from tracker.swarms.memory import MemorySwarms
from tracker.swarms.store import Counts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HASH = b"h" * 20
SOURCE = bytes([127, 0, 0, 1])
EVENTS = [Event.NONE, Event.COMPLETED, Event.STARTED, Event.STOPPED, Event.PAUSED]

sizes = st.integers(0, (1 << 63) - 1)
announces = st.builds(
    AnnounceQuery,
    info_hash=st.binary(min_size=20, max_size=20),
    peer_id=st.binary(min_size=20, max_size=20),
    port=st.integers(1, 65535),
    uploaded=sizes,
    downloaded=sizes,
    left=sizes,
    event=st.sampled_from(EVENTS),
    numwant=st.none() | st.integers(0, 79),
)
keys = st.from_regex(rb"[A-Za-z0-9._~-]{0,300}", fullmatch=True)
numbers = st.binary(min_size=4, max_size=4)
# Near to a request: right lengths and actions, with anything else in them.
nearly = st.builds(
    lambda head, action, rest, cut: (head + struct.pack(">I", action) + rest)[:cut],
    st.binary(min_size=8, max_size=8) | st.just(codec.PROTOCOL_ID),
    st.integers(0, 5),
    st.binary(min_size=0, max_size=300),
    st.integers(0, 320),
)
datagrams = st.binary(max_size=300) | nearly


def as_options(url: bytes, cuts: list[int], padding: int) -> bytes:
    """Spell a URL as options (BEP 41), in pieces, with nothing between them."""
    options, rest = b"", url
    for cut in [*cuts, 255, 255]:
        piece, rest = rest[:cut], rest[cut:]
        options += bytes([2, len(piece)]) + piece + b"\x01" * padding
    assert not rest
    return options + b"\x00"


@settings(max_examples=300, deadline=None)
@given(announces, keys, st.lists(st.integers(0, 255), max_size=4), st.integers(0, 2))
def test_what_is_spelt_is_understood(
    announce: AnnounceQuery, key: bytes, cuts: list[int], padding: int
) -> None:
    """parse(spell(x)) == x, wherever the path is cut."""
    data = bytes(16) + struct.pack(
        ">20s20sQQQI8xiH",
        announce.info_hash,
        announce.peer_id,
        announce.downloaded,
        announce.left,
        announce.uploaded,
        EVENTS.index(announce.event),
        -1 if announce.numwant is None else announce.numwant,
        announce.port,
    )
    url = b"/announce" + (b"/" + key if key else b"") + b"?x=y"
    options = as_options(url, cuts, padding)
    assert codec.parse_announce(data + options) == (announce, key)


@settings(max_examples=500, deadline=None)
@given(datagrams)
def test_any_bytes_are_understood_or_refused_by_us(data: bytes) -> None:
    """No error but ours, and its sentence is one."""
    head = codec.parse_head(data)
    if head is None:
        return
    parsers = {codec.ANNOUNCE: codec.parse_announce, codec.SCRAPE: codec.parse_scrape}
    assert refusal(parsers.get(head[1], bytes), data).isprintable()


def refusal(parse: Callable[[bytes], object], data: bytes) -> str:
    """Return why ``data`` was refused; an empty string if it was not."""
    try:
        parse(data)
    except MalformedRequest as error:
        return error.detail
    return ""


@settings(max_examples=300, deadline=None)
@given(numbers, st.integers(0, 1 << 31), sizes, st.binary(max_size=4000), st.booleans())
def test_answers_are_read_as_they_were_written(
    number: bytes,
    seconds: int,
    downloaded: int,
    peers: bytes,
    is_ipv4: bool,  # noqa: FBT001 - given
) -> None:
    """Whole peers, as many as fit, and the counts."""
    width = 6 if is_ipv4 else 18
    peers = peers[: len(peers) // width * width]
    counts = Counts(seconds // 3, seconds // 7, downloaded)
    reply = AnnounceReply(seconds, 5, counts, peers, bytes(4 if is_ipv4 else 16))
    answer = codec.encode_announce(number, reply)
    expected = (1, number, seconds, counts.incomplete, counts.complete)
    assert struct.unpack_from(">I4sIII", answer) == expected
    assert peers.startswith(answer[20:])
    assert (len(answer) - 20) % width == 0


def listener() -> AnnounceUdp:
    """Return what answers datagrams, with one torrent and nine peers on it."""
    swarms = MemorySwarms(lifetime_seconds=60)
    swarms.open(HASH)
    announces = AnnounceUdp(
        Announcer(swarms, Terms(30, 5, 50, 100), policy=Uniform()), ConnectionIds()
    )
    for port in range(1, 10):
        query = AnnounceQuery(HASH, b"%020d" % port, port, 0, 0, port % 2)
        announces.answer_now((b"numb", (query, b""), ()), SOURCE)
    return announces


@settings(max_examples=500, deadline=None)
@given(datagrams, st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16))
def test_who_does_not_prove_its_address_gets_no_more_than_it_sent(
    data: bytes, address: bytes
) -> None:
    """No datagram without a connection id of that address is of any use to an attacker."""
    answer = listener().understand(data, address)
    assert answer is None or (isinstance(answer, bytes) and len(answer) <= len(data))


@pytest.fixture(scope="module")
def ask() -> Iterator[Callable[[bytes], list[bytes]]]:
    """Serve a torrent; yields a function from a datagram to the answers before that to a connect.

    ``CID`` in a datagram becomes a connection id that is good.
    """
    loop = asyncio.new_event_loop()
    stop, ready = asyncio.Event(), loop.create_future()

    async def serve() -> None:
        sockets = bind_all(["127.0.0.1"], 0, kinds=[UDP])
        url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
        async with udp.serving(listener(), sockets), udp_client.udp_client(url) as client:
            ready.set_result(client)
            await stop.wait()

    async def exchange(data: bytes) -> list[bytes]:
        client = await ready
        good = await client.connect()
        number = client.number()
        client.send(data.replace(b"CIDCIDCI", good))
        client.send(udp_client.connect_request(number))
        answers = [await client.receive()]
        while answers[-1][:8] != bytes(4) + number:
            answers.append(await client.receive())
        return answers[:-1]

    task = loop.create_task(serve())
    yield lambda data: loop.run_until_complete(exchange(data))
    stop.set()
    loop.run_until_complete(task)
    loop.close()


@settings(max_examples=200, deadline=None)
@given(datagrams)
def test_any_datagram_leaves_the_port_working(
    ask: Callable[[bytes], list[bytes]], data: bytes
) -> None:
    """Through real sockets: at most one answer, of no more bytes, and the next one is served."""
    answers = ask(data)
    assert len(answers) <= 1
    assert all(len(answer) <= len(data) for answer in answers)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([codec.ANNOUNCE, codec.SCRAPE]), st.binary(max_size=300), numbers)
def test_any_request_with_a_connection_id_is_answered(
    ask: Callable[[bytes], list[bytes]], action: int, rest: bytes, number: bytes
) -> None:
    """With what it asked for or an error, if it is long enough for what it says it is."""
    data = b"CIDCIDCI" + struct.pack(">I", action) + number + rest
    answers = ask(data)
    is_whole = len(data) >= (98 if action == codec.ANNOUNCE else 36)
    assert len(answers) == is_whole
    for answer in answers:
        assert answer[:4] in {action.to_bytes(4, "big"), codec.ERROR.to_bytes(4, "big")}
        assert answer[4:8] == number


def test_the_premise_is_that_a_good_one_gets_peers(ask: Callable[[bytes], list[bytes]]) -> None:
    """The same way, an announce that is none of those above."""
    request = udp_client.announce_request(b"CIDCIDCI", b"numb", HASH, port=100)
    ((answer,)) = ask(request)
    assert len(answer) == 20 + 6 * 9
