"""The TCP port through a whole tracker, byte by byte; and both doors by the same tests."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from swarm import bencode
from swarm.deadline import within
from swarm.listeners import bind_all
from swarm.web import server
from tests.unit.tracker import lab
from tests.waiting import until
from tracker.announce.announce import Announcer, Terms
from tracker.announce.door import Doorkeeper
from tracker.announce.http import AnnounceHttp
from tracker.announce.origin import TrustedProxies
from tracker.handout.uniform import Uniform
from tracker.swarms.memory import MemorySwarms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

HASH = b"h" * 20
QUERY = f"info_hash={'h' * 20}&peer_id={'p' * 20}&uploaded=0&downloaded=0&left=1"
TARGET = f"/announce?{QUERY}&port=1"


class Connection:
    """A client that sends bytes as they are, and reads answers one by one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._writer.write(data)

    def get(self, target: str, *headers: str, version: str = "1.1") -> None:
        """Send a request."""
        lines = [f"GET {target} HTTP/{version}", "Host: t", *headers, "", ""]
        self.send("\r\n".join(lines).encode())

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Read one answer: status, headers and body."""
        head = (await within(10, self._reader.readuntil(b"\r\n\r\n"))).decode().split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:-2])}
        body = await within(10, self._reader.readexactly(int(headers["content-length"])))
        return int(head[0].split()[1]), headers, body

    async def bencoded(self) -> dict[bytes, object]:
        """Read one answer of status 200 and return what it says."""
        status, headers, body = await self.answer()
        assert (status, headers["content-type"]) == (200, "text/plain")
        message = bencode.decode(body)
        assert isinstance(message, dict)
        return message

    async def is_closed(self) -> bool:
        """Tell whether the tracker closes it, with nothing more to read."""
        with contextlib.suppress(ConnectionError):
            return await within(10, self._reader.read(1)) == b""
        return True

    def end(self) -> None:
        """Say that nothing more comes, and go on listening."""
        self._writer.write_eof()


@contextlib.asynccontextmanager
async def connection(url: str) -> AsyncIterator[Connection]:
    """Connect to ``url``."""
    host, port = url.removeprefix("http://").rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    try:
        yield Connection(reader, writer)
    finally:
        writer.transport.abort()


class Place:
    """Where one torrent is announced."""

    def __init__(self, url: str, keepers: list[Doorkeeper], swarms: MemorySwarms) -> None:
        self.url = url
        self.keepers = keepers
        self.swarms = swarms


@contextlib.asynccontextmanager
async def place(
    *,
    has_door: bool = True,
    trusted: tuple[str, ...] = (),
    most_connections: int = 100,
    idle_seconds: float = 60,
    head_seconds: float = 60,
    announcer: type[Announcer] = Announcer,
) -> AsyncIterator[Place]:
    """Serve announces for one torrent beside an API, with the door or by aiohttp alone."""
    swarms = MemorySwarms(lifetime_seconds=60)
    swarms.open(HASH)
    announces = AnnounceHttp(
        announcer(swarms, Terms(30, 5, 50, 100), policy=Uniform()), TrustedProxies(trusted)
    )
    app = server.application()
    announces.add_to(app.router)
    keepers: list[Doorkeeper] = []

    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    app.router.add_post("/echo", echo)

    def front(inner: web.Server) -> Doorkeeper:
        keepers.append(
            Doorkeeper(
                announces,
                inner,
                most_connections=most_connections,
                count_inner=lambda: len(inner.connections),
                idle_seconds=idle_seconds,
                head_seconds=head_seconds,
            )
        )
        return keepers[0]

    sockets = bind_all(["127.0.0.1"], 0)
    async with server.serving(app, sockets=sockets, front=front if has_door else None) as urls:
        yield Place(urls[0], keepers, swarms)


doors = pytest.mark.parametrize("has_door", [True, False], ids=["door", "aiohttp"])


@doors
@pytest.mark.parametrize(
    ("target", "headers"),
    [
        (TARGET, ()),
        (f"/announce/key?{QUERY}&port=1", ()),
        (f"/announce?{QUERY}&port=1&numwant=0&event=started&ip=1.2.3.4", ()),
        (f"/announce?{QUERY}&port=1", ("X-Forwarded-For: 192.0.2.7",)),
        (f"/announce?{QUERY}&port=1", ("User-Agent: x", "Accept-Encoding: gzip", "X:")),
        (f"/announce?{QUERY}&port=0", ()),
        (f"/announce?{QUERY}", ()),
        ("/announce", ()),
        (f"/announce?{QUERY}&port=1&port=2", ()),
        (f"/announce?{QUERY.replace('h' * 20, 'x' * 20)}&port=1", ()),
        (f"/scrape?info_hash={'h' * 20}", ()),
        (f"/scrape/key?info_hash={'h' * 20}&info_hash={'x' * 20}", ()),
        ("/scrape", ()),
    ],
)
def test_both_doors_give_one_answer(has_door: bool, target: str, headers: tuple[str, ...]) -> None:  # noqa: FBT001 - parametrized
    """The same bytes, but for the jitter of the interval; and the same peer is taken down."""

    async def ask(*, has_door: bool) -> tuple[object, object]:
        async with place(has_door=has_door) as where, connection(where.url) as client:
            client.get(f"/announce?{QUERY.replace('p' * 20, 'o' * 20)}&port=7")
            client.get(target, *headers)
            await client.bencoded()
            answer = await client.bencoded()
            answer.pop(b"interval", None)
            return answer, sorted(tuple(p) for p in (await where.swarms.members(HASH)).peers)

    assert asyncio.run(ask(has_door=has_door)) == asyncio.run(ask(has_door=True))


@doors
def test_only_a_trusted_proxy_speaks_for_others(has_door: bool) -> None:  # noqa: FBT001 - parametrized
    """By header or query; from anybody else both are nothing."""

    async def scenario(trusted: tuple[str, ...]) -> list[object]:
        async with (
            place(has_door=has_door, trusted=trusted) as where,
            connection(where.url) as client,
        ):
            client.get(TARGET, "X-Forwarded-For: 198.51.100.9, 192.0.2.7")
            client.get(f"{TARGET}&ip=192.0.2.8")
            client.get(TARGET, "X-Forwarded-For: nobody")
            return [
                a.get(b"external ip") or a[b"failure reason"]
                for a in [await client.bencoded() for _ in range(3)]
            ]

    own = bytes([127, 0, 0, 1])
    assert asyncio.run(scenario(())) == [own, own, own]
    assert asyncio.run(scenario(("127.0.0.0/8",))) == [
        bytes([192, 0, 2, 7]),
        bytes([192, 0, 2, 8]),
        b"the proxy's word for your address is none",
    ]


@doors
@pytest.mark.parametrize(
    ("version", "header", "is_kept"),
    [
        ("1.1", "A: b", True),
        ("1.1", "Connection: close", False),
        ("1.0", "A: b", False),
        ("1.0", "Connection: keep-alive", True),
    ],
)
def test_a_connection_is_kept_as_the_client_asks(
    has_door: bool,  # noqa: FBT001 - parametrized
    version: str,
    header: str,
    is_kept: bool,  # noqa: FBT001 - parametrized
) -> None:
    """And says so where the version does not go without saying."""

    async def scenario() -> None:
        async with place(has_door=has_door) as where, connection(where.url) as client:
            client.get(TARGET, header, version=version)
            _, headers, _ = await client.answer()
            says = headers.get("connection", "keep-alive" if version == "1.1" else "close").lower()
            assert says == ("keep-alive" if is_kept else "close") or has_door is False
            if is_kept:
                client.get(TARGET, header, version=version)
                assert b"interval" in await client.bencoded()
            else:
                assert await client.is_closed()

    asyncio.run(scenario())


def test_pipelined_requests_are_answered_in_their_order() -> None:
    """More than are answered in a turn, in pieces that end anywhere."""

    async def scenario() -> None:
        count = 300
        async with place() as where, connection(where.url) as client:
            whole = b"".join(
                f"GET {target} HTTP/1.1\r\n\r\n".encode()
                for i in range(count)
                for target in (f"/scrape?info_hash={i:020d}", f"{TARGET}{i}")
            )
            for start in range(0, len(whole), 997):
                client.send(whole[start : start + 997])
                await asyncio.sleep(0)
            for i in range(count):
                assert await client.bencoded() == {b"files": {}}
                assert (await client.bencoded())[b"incomplete"] == i + 1

    asyncio.run(scenario())


def test_who_sends_no_more_is_answered_all_the_same() -> None:
    """A client may close its half after the last request; then the connection is over."""

    async def scenario() -> None:
        async with place() as where, connection(where.url) as client:
            for _ in range(100):
                client.get(TARGET)
            client.end()
            for _ in range(100):
                assert b"interval" in await client.bencoded()
            assert await client.is_closed()

    asyncio.run(scenario())


def test_anything_else_goes_in_to_aiohttp() -> None:
    """At once or after announces, with its body; and what follows is answered there."""

    async def scenario() -> None:
        async with place() as where, connection(where.url) as client:
            for _ in range(40):
                client.get(TARGET)
            client.send(b"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhe")
            client.send(b"llo")
            client.get(TARGET)
            client.get("/healthz")
            for _ in range(40):
                assert b"interval" in await client.bencoded()
            assert (await client.answer())[2] == b"hello"
            assert b"interval" in await client.bencoded()
            assert b'"ok"' in (await client.answer())[2]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /nothing HTTP/1.1\r\nHost: t\r\n\r\n", 404),
        (b"POST /announce HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n", 405),
        (b"GET /announce?" + b"a" * 9000 + b" HTTP/1.1\r\nHost: t\r\n\r\n", 400),
        (b"GET /announce?a HTTP/1.1\r\n" + b"A: b\r\n" * 2000 + b"\r\n", 400),
        (b"a" * 9000, 400),
    ],
)
def test_what_is_wrong_is_refused_as_ever(request_bytes: bytes, status: int) -> None:
    """By aiohttp, which knows how; a head of more than 8 KiB is not waited for."""

    async def scenario() -> None:
        async with place() as where, connection(where.url) as client:
            client.send(request_bytes)
            if request_bytes == b"a" * 9000:
                client.send(b"\r\n\r\n")
            assert (await client.answer())[0] == status

    asyncio.run(scenario())


class Patient(Announcer):
    """An announcer whose store has to be waited for."""

    is_immediate = False  # type: ignore[assignment]


def test_with_a_shared_store_announces_go_in_to_aiohttp() -> None:
    """Where they can wait."""

    async def scenario() -> None:
        async with place(announcer=Patient) as where, connection(where.url) as client:
            for _ in range(3):
                client.get(TARGET)
                status, headers, _ = await client.answer()
                assert (status, server.REQUEST_ID.lower() in headers) == (200, True)

    asyncio.run(scenario())


def test_a_head_that_does_not_end_is_cut_off() -> None:
    """Slow loris: a byte now and then keeps nothing open, while others are answered."""

    async def scenario() -> None:
        async with place(head_seconds=0.5) as where, connection(where.url) as slow:
            slow.get(TARGET)
            await slow.bencoded()
            slow.send(b"GET /announce?")
            closed = asyncio.create_task(slow.is_closed())
            async with connection(where.url) as other:
                while not closed.done():
                    slow.send(b"a")
                    other.get(TARGET)
                    await other.bencoded()
                    await asyncio.sleep(0.02)
            assert closed.result()

    asyncio.run(scenario())


def test_a_silent_connection_is_closed() -> None:
    """Before its first request or after its last."""

    async def scenario() -> None:
        async with (
            place(idle_seconds=0.5) as where,
            connection(where.url) as silent,
            connection(where.url) as once,
        ):
            once.get(TARGET)
            await once.bencoded()
            assert await silent.is_closed()
            assert await once.is_closed()

    asyncio.run(scenario())


def test_beyond_the_most_connections_the_longest_idle_one_makes_room() -> None:
    """So that who holds many open keeps nobody out."""

    async def scenario() -> None:
        async with contextlib.AsyncExitStack() as stack:
            where = await stack.enter_async_context(place(most_connections=3))
            held = [await stack.enter_async_context(connection(where.url)) for _ in range(3)]
            for client in held:
                client.get(TARGET)
                await client.bencoded()
            held[0].get(TARGET)  # now the second is the one
            await held[0].bencoded()
            late = await stack.enter_async_context(connection(where.url))
            late.get(TARGET)
            assert b"interval" in await late.bencoded()
            assert await held[1].is_closed()
            for client in (held[0], held[2]):
                client.get(TARGET)
                assert b"interval" in await client.bencoded()

    asyncio.run(scenario())


def test_connections_inside_count_too() -> None:
    """If there are only such, a new one is turned away."""

    async def scenario() -> None:
        async with contextlib.AsyncExitStack() as stack:
            where = await stack.enter_async_context(place(most_connections=2))
            for _ in range(2):
                client = await stack.enter_async_context(connection(where.url))
                client.get("/healthz")
                assert (await client.answer())[0] == 200
            late = await stack.enter_async_context(connection(where.url))
            late.get(TARGET)
            assert await late.is_closed()

    asyncio.run(scenario())


def test_who_does_not_read_is_not_answered_on_and_on() -> None:
    """The answers to a client that never reads fill no memory; once it reads, all come."""

    async def scenario() -> None:
        async with place() as where:
            host, port = where.url.removeprefix("http://").split(":")
            with socket.socket() as sock:
                sock.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_connect(sock, (host, int(port)))
                request = f"GET {TARGET} HTTP/1.1\r\n\r\n".encode()
                sent = 0
                with contextlib.suppress(asyncio.TimeoutError):
                    while True:  # until the tracker takes no more, as it can give no more
                        await within(1, loop.sock_sendall(sock, request * 100))
                        sent += 100
                        assert sent < 1_000_000
                assert sent > 100, "the premise: many were taken"
                answers, tail = 0, b""
                while answers < sent:
                    data = tail + await within(10, loop.sock_recv(sock, 1 << 20))
                    answers += data.count(b"200 OK\r\n")
                    tail = data[-7:]

    asyncio.run(scenario())


def test_the_door_closes_with_the_tracker(tmp_path: Path) -> None:
    """An idle connection holds up nothing."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            opened = connection(t.url)
            client = await opened.__aenter__()
            client.get("/announce")
            assert b"failure reason" in await client.bencoded()
        assert await client.is_closed()
        await opened.__aexit__(None, None, None)
        await until(lambda: len(asyncio.all_tasks()) == 1, what="no task is left")

    asyncio.run(scenario())
