"""Datagrams by the row: what a socket for them does, and one that does it by the standard library.

The fast one is in ``datagram_rows.py``; :class:`PlainSocket` is for systems that have not got what
it needs. Addresses are handed around as the bytes that the kernel made, in both.

Both are non-blocking sockets of one family. Whoever asked is answered from the very address that it
asked, even if the socket is bound to all of them (a *wildcard*) and the host has several: the
kernel says which it was (IP_PKTINFO, IPV6_PKTINFO) and is told it again.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Datagrams in one call.
BATCH = 64
#: What the socket may hold while the process is busy, as far as the system allows.
BUFFER_BYTES = 4 << 20

#: Linux' numbers; the socket module has none for the IPv4 one before Python 3.13.
_IP_PKTINFO = 8
_IPV6_RECVPKTINFO = 49
_IPV6_PKTINFO = 50
_PKTINFO_BYTES = 64
_SO_RCVBUFFORCE = 33
_SO_SNDBUFFORCE = 32

#: The size of a sockaddr_in and a sockaddr_in6.
SOCKADDR_BYTES = {socket.AF_INET: 16, socket.AF_INET6: 28}
#: Where the address is in each, and what of a packet info is the interface.
ADDRESS = {socket.AF_INET: slice(4, 8), socket.AF_INET6: slice(8, 24)}
INTERFACE = {socket.AF_INET: slice(0, 4), socket.AF_INET6: slice(16, 20)}


#: One that came: its data; the address that it came from, 4 or 16 bytes; and where its answer goes,
#: in a form that only the socket knows. A plain tuple, as a hundred thousand a second are made.
Datagram = tuple[bytes, bytes, bytes]


class DatagramSocket(Protocol):
    """What both kinds of sockets do."""

    def receive(self) -> list[Datagram]:
        """Return up to BATCH datagrams that are there; none if there are none."""

    def send(self, answers: Sequence[tuple[bytes, bytes]]) -> int:
        """Send (data, reply_to) pairs, at most BATCH, each of at most ``most_bytes``.

        Returns how many the kernel took. What it does not take, because its buffers are full or
        there is no way to go, is lost, as datagrams may be.
        """

    def fileno(self) -> int:
        """Return the descriptor to wait on."""

    def close(self) -> None:
        """Close it."""


def prepare(sock: socket.socket) -> bool:
    """Set what both kinds need; return whether the socket is bound to a wildcard."""
    sock.setblocking(False)
    _enlarge(sock, socket.SO_RCVBUF, _SO_RCVBUFFORCE)
    _enlarge(sock, socket.SO_SNDBUF, _SO_SNDBUFFORCE)
    is_wildcard = sock.getsockname()[0] in {"0.0.0.0", "::"}
    if is_wildcard:
        if sock.family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
    return is_wildcard


def _enlarge(sock: socket.socket, option: int, forced: int) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, forced, BUFFER_BYTES)
    except OSError:  # only a privileged process may go beyond net.core.rmem_max
        sock.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)


class PlainSocket:
    """Datagrams one by one, by the standard library."""

    def __init__(self, sock: socket.socket, *, most_bytes: int) -> None:
        self._socket = sock
        self._most_bytes = most_bytes
        self._is_wildcard = prepare(sock)
        self._family = socket.AddressFamily(sock.family)

    def receive(self) -> list[Datagram]:
        """Return up to BATCH datagrams that are there."""
        found: list[Datagram] = []
        with contextlib.suppress(BlockingIOError):
            while len(found) < BATCH:
                data, controls, _, sender = self._socket.recvmsg(
                    self._most_bytes, _PKTINFO_BYTES if self._is_wildcard else 0
                )
                raw = self._raw(sender)
                info = controls[0][2] if controls else b""
                found.append((data, raw[ADDRESS[self._family]], raw + info))
        return found

    def send(self, answers: Sequence[tuple[bytes, bytes]]) -> int:
        """Send them, one by one; return how many the kernel took."""
        sent = 0
        for data, reply_to in answers:
            with contextlib.suppress(OSError):
                receiver, controls = self._spelt(reply_to)
                self._socket.sendmsg([data], controls, 0, receiver)
                sent += 1
        return sent

    def _raw(self, sender: tuple[str | int, ...]) -> bytes:
        """Return an address as the kernel has it: the answer's way is the same in both kinds."""
        host, port = str(sender[0]), int(sender[1])
        if self._family == socket.AF_INET:
            return struct.pack("=H", socket.AF_INET) + struct.pack(
                ">H4s8x", port, socket.inet_pton(socket.AF_INET, host)
            )
        address = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
        head = struct.pack("=H", socket.AF_INET6) + struct.pack(">HI16s", port, 0, address)
        return head + struct.pack("=I", int(sender[3]))

    def _spelt(self, reply_to: bytes) -> tuple[tuple[str | int, ...], list[tuple[int, int, bytes]]]:
        size = SOCKADDR_BYTES[self._family]
        host = socket.inet_ntop(self._family, reply_to[ADDRESS[self._family]])
        port = int.from_bytes(reply_to[2:4], "big")
        info = bytearray(reply_to[size:])
        if info:
            info[INTERFACE[self._family]] = bytes(4)
        if self._family == socket.AF_INET:
            controls = [(socket.IPPROTO_IP, _IP_PKTINFO, bytes(info))] if info else []
            return (host, port), controls
        controls = [(socket.IPPROTO_IPV6, _IPV6_PKTINFO, bytes(info))] if info else []
        return (host, port, 0, struct.unpack_from("=I", reply_to, 24)[0]), controls

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close it."""
        self._socket.close()
