"""A client of UDP trackers (BEP 15), byte by byte: what it sends is what a test says."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import struct
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from swarm.deadline import within

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PROTOCOL_ID = (0x41727101980).to_bytes(8, "big")
CONNECT, ANNOUNCE, SCRAPE, ERROR = range(4)
_ANSWER_SECONDS = 10.0


def announce_request(
    connection_id: bytes,
    transaction_id: bytes,
    info_hash: bytes,
    *,
    port: int,
    peer_id: bytes = b"",
    left: int = 1,
    event: int = 0,
    numwant: int = -1,
    options: bytes = b"",
) -> bytes:
    """Return an announce; its peer id is made of the port unless one is given."""
    peer_id = peer_id or b"-XX0001-%012d" % port
    numbers = struct.pack(">QQQI4s4siH", 0, left, 0, event, b"\xc0\0\2\1", b"key!", numwant, port)
    head = connection_id + struct.pack(">I", ANNOUNCE) + transaction_id
    return head + info_hash + peer_id + numbers + options


def scrape_request(connection_id: bytes, transaction_id: bytes, *info_hashes: bytes) -> bytes:
    """Return a scrape."""
    head = connection_id + struct.pack(">I", SCRAPE) + transaction_id
    return head + b"".join(info_hashes)


def connect_request(transaction_id: bytes) -> bytes:
    """Return a connect request."""
    return PROTOCOL_ID + struct.pack(">I", CONNECT) + transaction_id


class UdpClient:
    """One socket that talks to one tracker."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count(1)

    def send(self, data: bytes) -> None:
        """Send a datagram."""
        self._socket.send(data)

    async def receive(self, *, seconds: float = _ANSWER_SECONDS) -> bytes:
        """Return the next datagram that comes."""
        return await within(seconds, self._loop.sock_recv(self._socket, 65536))

    async def ask(self, data: bytes) -> bytes:
        """Send a datagram and return the answer, which has its transaction id."""
        self.send(data)
        answer = await self.receive()
        assert answer[4:8] == data[12:16], "the transaction id"
        return answer

    def number(self) -> bytes:
        """Return a transaction id that was not used yet."""
        return next(self._numbers).to_bytes(4, "big")

    async def connect(self) -> bytes:
        """Return a connection id."""
        answer = await self.ask(connect_request(self.number()))
        assert (answer[:4], len(answer)) == (bytes(4), 16)
        return answer[8:]

    async def is_silent_about(self, data: bytes) -> bool:
        """Tell whether a datagram is not answered: datagrams are answered in their order."""
        number = self.number()
        self.send(data)
        self.send(connect_request(number))
        return (await self.receive())[:8] == bytes(4) + number

    async def announce(self, info_hash: bytes, *, port: int, **what: object) -> Announced:
        """Connect, announce, and return the answer."""
        connection_id = await self.connect()
        request = announce_request(connection_id, self.number(), info_hash, port=port, **what)  # type: ignore[arg-type]
        return Announced(await self.ask(request), is_ipv4=self._socket.family == socket.AF_INET)


class Announced:
    """The answer to an announce, taken apart; it is one, or the test fails."""

    def __init__(self, data: bytes, *, is_ipv4: bool) -> None:
        assert data[:4] == ANNOUNCE.to_bytes(4, "big"), data
        self.interval, self.incomplete, self.complete = struct.unpack_from(">III", data, 8)
        self.size = len(data)
        width = 6 if is_ipv4 else 18
        assert (len(data) - 20) % width == 0
        entries = [data[i : i + width] for i in range(20, len(data), width)]
        family = socket.AF_INET if is_ipv4 else socket.AF_INET6
        self.peers = {
            (socket.inet_ntop(family, e[:-2]), int.from_bytes(e[-2:], "big")) for e in entries
        }


@contextlib.asynccontextmanager
async def udp_client(url: str, *, source: str = "") -> AsyncIterator[UdpClient]:
    """Talk to the tracker whose HTTP address is ``url``, from the address ``source``."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 0
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        if source:
            sock.bind((source, 0))
        sock.connect((host, port))
        yield UdpClient(sock)


def reason(answer: bytes) -> str:
    """Return the sentence of a refusal; it is one, or the test fails."""
    assert answer[:4] == ERROR.to_bytes(4, "big"), answer
    return answer[8:].decode()
