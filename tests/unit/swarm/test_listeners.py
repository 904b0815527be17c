"""Sockets at one port of several addresses: all or none."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from swarm.errors import ConfigurationError
from swarm.listeners import TCP, UDP, bind_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@contextlib.contextmanager
def bound(
    addresses: Sequence[str], port: int, kinds: Sequence[socket.SocketKind]
) -> Iterator[list[socket.socket]]:
    """Bind, and close at the end."""
    with contextlib.ExitStack() as stack:
        sockets = bind_all(addresses, port, kinds=kinds)
        for sock in sockets:
            stack.enter_context(sock)
        yield sockets


def test_a_free_port_is_free_for_all_of_them() -> None:
    """Both families, both kinds; an address that is named twice is one."""
    with bound(["127.0.0.1", "::1", "127.0.0.1"], 0, [TCP, UDP]) as sockets:
        names = [(sock.type, sock.getsockname()[0]) for sock in sockets]
        assert names == [(TCP, "127.0.0.1"), (TCP, "::1"), (UDP, "127.0.0.1"), (UDP, "::1")]
        assert len({sock.getsockname()[1] for sock in sockets}) == 1


def test_another_free_port_is_tried_if_one_is_not_free_everywhere() -> None:
    """Ports that are free for TCP may be taken for UDP: here some 3 of 100 are."""
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    with contextlib.ExitStack() as stack:
        for port in range(low, low + 800):
            sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            with contextlib.suppress(OSError):  # another program may have it
                sock.bind(("127.0.0.77", port))
        for _ in range(300):
            with bound(["127.0.0.77"], 0, [TCP, UDP]) as sockets:
                assert len(sockets) == 2


def test_the_families_are_apart() -> None:
    """`::` takes no IPv4, so both wildcards can have the same port."""
    with bound(["0.0.0.0", "::"], 0, [TCP, UDP]) as sockets:
        assert len(sockets) == 4


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("192.0.2.1", "can't listen on 192.0.2.1:"),
        ("no.such.host.invalid", "can't listen on no"),
    ],
)
def test_what_is_not_of_this_host_is_refused(address: str, complaint: str) -> None:
    """And nothing is left open: the one before it can be had again."""
    with bound(["127.0.0.1"], 0, [TCP]) as sockets:
        port = sockets[0].getsockname()[1]
    with pytest.raises(ConfigurationError, match=complaint):
        bind_all(["127.0.0.1", address], port, kinds=[TCP])
    with bound(["127.0.0.1"], port, [TCP]):
        pass


def test_a_taken_port_is_named() -> None:
    """With its address."""
    with bound(["127.0.0.1"], 0, [UDP]) as sockets:
        port = sockets[0].getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{port}: Address already in use"):
            bind_all(["127.0.0.1"], port, kinds=[TCP, UDP])
