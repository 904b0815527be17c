"""Rows of datagrams through the kernel, by both kinds of sockets."""

from __future__ import annotations

import contextlib
import platform
import select
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from tracker.announce.datagram_rows import RowSocket
from tracker.announce.datagrams import BATCH, PlainSocket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracker.announce.datagrams import Datagram, DatagramSocket

MOST_BYTES = 100
kinds = pytest.mark.parametrize(
    "kind",
    [
        pytest.param(
            RowSocket,
            marks=pytest.mark.skipif(not RowSocket.is_possible, reason="no recvmmsg here"),
        ),
        PlainSocket,
    ],
)
places = pytest.mark.parametrize(
    ("bound", "asked"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.9"), ("::1", "::1"), ("::", "::1")],
)


def family_of(address: str) -> socket.AddressFamily:
    """Return the family of an address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@contextlib.contextmanager
def opened(kind: type[DatagramSocket], bound: str) -> Iterator[tuple[DatagramSocket, int]]:
    """Open a socket at an address; yields it and its port."""
    sock = socket.socket(family_of(bound), socket.SOCK_DGRAM)
    sock.bind((bound, 0))
    opened = kind(sock, most_bytes=MOST_BYTES)  # type: ignore[call-arg]
    with contextlib.closing(opened):
        yield opened, sock.getsockname()[1]


@contextlib.contextmanager
def client(address: str, port: int, source: str = "") -> Iterator[socket.socket]:
    """Open a socket that hears only the address that it asks."""
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        if source:
            sock.bind((source, 0))
        sock.connect((address, port))
        yield sock


def received(server: DatagramSocket, count: int) -> list[Datagram]:
    """Return so many datagrams."""
    found: list[Datagram] = []
    while len(found) < count:
        assert select.select([server], [], [], 10)[0], f"only {len(found)} of {count} have come"
        found += server.receive()
    return found


@kinds
@places
def test_an_answer_comes_from_where_was_asked(
    kind: type[DatagramSocket], bound: str, asked: str
) -> None:
    """Also from one of many addresses: a connected client hears no other."""
    with opened(kind, bound) as (server, port), client(asked, port) as sock:
        for number in range(3):  # the buffers are used again
            sock.send(b"question %d" % number)
            ((data, address, reply_to),) = received(server, 1)
            own = socket.inet_pton(family_of(asked), sock.getsockname()[0])
            assert (data, address) == (b"question %d" % number, own)
            assert server.send([(b"answer", reply_to)]) == 1
            assert sock.recv(100) == b"answer"


@kinds
@places
def test_each_gets_its_own_answer(kind: type[DatagramSocket], bound: str, asked: str) -> None:
    """In rows, however many there are; some are asked of later, out of their order."""
    with (
        opened(kind, bound) as (server, port),
        client(asked, port) as one,
        client(asked, port) as other,
    ):
        for number in range(BATCH):
            one.send(b"one %d" % number)
            other.send(b"other %d" % number)
        questions = received(server, 2 * BATCH)
        answers = [(b"re: " + data, reply_to) for data, _, reply_to in reversed(questions)]
        assert server.send(answers[:BATCH]) + server.send(answers[BATCH:]) == 2 * BATCH
        for sock, name in ((one, b"one"), (other, b"other")):
            found = [sock.recv(100) for _ in range(BATCH)]
            assert found == [b"re: %s %d" % (name, n) for n in reversed(range(BATCH))]


@kinds
def test_a_row_has_an_end(kind: type[DatagramSocket]) -> None:
    """What is more is left for the next call, and nothing is nothing."""
    with opened(kind, "127.0.0.1") as (server, port), client("127.0.0.1", port) as sock:
        assert server.receive() == []
        for _ in range(BATCH + 1):
            sock.send(b"x")
        assert select.select([server], [], [], 10)[0]
        assert len(server.receive()) == BATCH
        assert len(received(server, 1)) == 1
        assert server.receive() == []


@kinds
def test_datagrams_are_cut_and_empty_ones_are_there(kind: type[DatagramSocket]) -> None:
    """No sender makes a row any larger."""
    with opened(kind, "127.0.0.1") as (server, port), client("127.0.0.1", port) as sock:
        for size in (0, MOST_BYTES, MOST_BYTES + 1, 60000):
            sock.send(b"x" * size)
        sizes = [len(data) for data, _, _ in received(server, 4)]
        assert sizes == [0, MOST_BYTES, MOST_BYTES, MOST_BYTES]


@kinds
def test_one_that_has_no_way_to_go_holds_up_no_other(kind: type[DatagramSocket]) -> None:
    """Nobody can be answered at port 0, which a forged datagram may come from."""
    with opened(kind, "127.0.0.1") as (server, port), client("127.0.0.1", port) as sock:
        sock.send(b"question")
        ((_, _, reply_to),) = received(server, 1)
        nowhere = reply_to[:2] + bytes(2) + reply_to[4:]
        answers = [(b"1", reply_to), *[(b"2", nowhere)] * 5, (b"3", reply_to)]
        assert server.send(answers) == 2
        assert (sock.recv(9), sock.recv(9)) == (b"1", b"3")


@kinds
@places
def test_answers_to_one_receiver_stay_apart(
    kind: type[DatagramSocket], bound: str, asked: str
) -> None:
    """Whether or not they are of one length, and however they go through the kernel."""
    with opened(kind, bound) as (server, port), client(asked, port) as sock:
        sock.send(b"question")
        ((_, _, reply_to),) = received(server, 1)
        sizes = [100] * 20 + [99, 100, 0, 0, 7] + [50] * 10 + [1]
        answers = [(bytes([number]) * size, reply_to) for number, size in enumerate(sizes)]
        assert server.send(answers) == len(sizes)
        assert [(sock.recv(1000), reply_to) for _ in sizes] == answers


@kinds
def test_an_answer_may_be_as_long_as_a_question(kind: type[DatagramSocket]) -> None:
    """Every byte of it arrives."""
    with opened(kind, "127.0.0.1") as (server, port), client("127.0.0.1", port) as sock:
        sock.send(b"question")
        ((_, _, reply_to),) = received(server, 1)
        assert server.send([(b"x" * MOST_BYTES, reply_to)]) == 1
        assert sock.recv(1000) == b"x" * MOST_BYTES


@pytest.mark.skipif(
    platform.machine() not in {"x86_64", "aarch64"} or platform.libc_ver()[0] != "glibc",
    reason="only here we know",
)
def test_rows_are_possible_on_what_operators_run() -> None:
    """Linux with glibc, 64 bits: a wrong layout would silently be the slow kind."""
    assert RowSocket.is_possible


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the numbers are Linux'")
def test_the_kernel_gives_room_while_we_are_busy() -> None:
    """More than a socket has by itself, if the system allows any more."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        before = plain.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        PlainSocket(sock, most_bytes=MOST_BYTES)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= before
