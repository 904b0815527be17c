"""Whatever a client puts into the query, it gets an answer that it can read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes, urlencode

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm import bencode
from swarm.deadline import within
from swarm.errors import MalformedRequest
from swarm.web import server
from tracker.announce import codec
from tracker.announce.announce import Announcer, Terms
from tracker.announce.http import AnnounceHttp
from tracker.announce.query import AnnounceQuery, Event
from tracker.handout.uniform import Uniform
from tracker.swarms.memory import MemorySwarms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HASH = b"h" * 20
PEER_ID = b"p" * 20
GOOD = f"info_hash={'h' * 20}&peer_id={'p' * 20}&port=1&uploaded=0&downloaded=0&left=0".encode()

sizes = st.integers(0, (1 << 63) - 1)
announces = st.builds(
    AnnounceQuery,
    info_hash=st.binary(min_size=20, max_size=20),
    peer_id=st.binary(min_size=20, max_size=20),
    port=st.integers(1, 65535),
    uploaded=sizes,
    downloaded=sizes,
    left=sizes,
    event=st.sampled_from(Event),
    numwant=st.none() | sizes,
)
# What a request line may hold; half of it near to a good query.
printable = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=120)
fields = st.sampled_from(GOOD.decode().split("&"))
bent = st.builds(
    lambda parts, odd, where: "&".join([*parts[:where], odd, *parts[where:]]),
    st.lists(fields, max_size=8),
    printable,
    st.integers(0, 8),
)
nearly = st.builds(
    lambda key, value: f"{GOOD.decode()}&{key}={value}",
    st.sampled_from(["event", "numwant", "compact", "left", "port", "ip", "%", "key"]),
    printable,
)


def as_query(announce: AnnounceQuery, *, as_form: bool) -> bytes:
    """Spell ``announce`` as clients do: as forms are encoded, or with %20 for a space."""
    values = {
        "info_hash": announce.info_hash,
        "peer_id": announce.peer_id,
        "port": announce.port,
        "uploaded": announce.uploaded,
        "downloaded": announce.downloaded,
        "left": announce.left,
        "event": announce.event.value,
        "compact": 1,
        **({} if announce.numwant is None else {"numwant": announce.numwant}),
    }
    if as_form:
        return urlencode(values).encode()
    raw = {k: v if isinstance(v, bytes) else str(v).encode() for k, v in values.items()}
    return "&".join(f"{k}={quote_from_bytes(v, safe='')}" for k, v in raw.items()).encode()


@settings(max_examples=200, deadline=None)
@given(announces, st.booleans())
def test_what_is_spelt_is_understood(announce: AnnounceQuery, as_form: bool) -> None:  # noqa: FBT001 - given
    """parse(spell(x)) == x, in both spellings."""
    assert codec.parse_announce(as_query(announce, as_form=as_form)) == announce


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | bent.map(str.encode) | nearly.map(str.encode))
def test_any_bytes_are_understood_or_refused_by_us(query: bytes) -> None:
    """No error but ours, and its sentence fits a failure reason."""
    for parse in (codec.parse_announce, codec.parse_scrape):
        reason = refusal(parse, query)
        assert reason.isprintable()
        assert bencode.decode(codec.encode_failure(reason)) == {b"failure reason": reason.encode()}


def refusal(parse: Callable[[bytes], object], query: bytes) -> str:
    """Return why ``query`` was refused; an empty string if it was not."""
    try:
        parse(query)
    except MalformedRequest as error:
        return error.detail
    return ""


@pytest.fixture(scope="module")
def ask() -> Iterator[Callable[[str], tuple[int, bytes]]]:
    """Serve one open torrent over real HTTP; yields a function from target to status and body."""
    swarms = MemorySwarms(lifetime_seconds=60)
    swarms.open(HASH)
    app = server.application()
    AnnounceHttp(Announcer(swarms, Terms(30, 5, 50, 100), policy=Uniform())).add_to(app.router)
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(app)
    loop.run_until_complete(runner.setup())
    loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", 0).start())
    port = runner.addresses[0][1]
    yield lambda target: loop.run_until_complete(_get(port, target))
    loop.run_until_complete(runner.cleanup())
    loop.close()


async def _get(port: int, target: str) -> tuple[int, bytes]:
    """Send a request line as it is, which no HTTP client would do."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n".encode())
    answer = await within(10, reader.read())
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


@settings(max_examples=150, deadline=None)
@given(printable | bent | nearly)
def test_any_query_gets_an_answer(ask: Callable[[str], tuple[int, bytes]], query: str) -> None:
    """Status 200, bencoded, with a failure reason or an interval: never a 500."""
    for path, success in (("/announce", b"interval"), ("/scrape", b"files")):
        status, body = ask(f"{path}?{query}")
        assert status == 200
        answer = bencode.decode(body)
        assert isinstance(answer, dict)
        assert (b"failure reason" in answer) != (success in answer)


def test_the_good_query_is_one(ask: Callable[[str], tuple[int, bytes]]) -> None:
    """The premise of the bent ones; and a hash of raw bytes gets through the request line."""
    assert b"interval" in ask(f"/announce?{GOOD.decode()}")[1]
