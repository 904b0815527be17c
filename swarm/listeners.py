"""Sockets bound to several addresses and one port: all of them, or none.

Port 0 takes one that is free for each address and each kind of socket that is asked for: the kernel
is asked for any at the first, and for another if one of the rest has not got it.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from typing import TYPE_CHECKING

from swarm.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
_TRIES = 20


def bind_all(
    addresses: Sequence[str], port: int, *, kinds: Sequence[socket.SocketKind] = (TCP,)
) -> list[socket.socket]:
    """Return a socket of each kind for each of ``addresses`` (or names), all at one port.

    They are bound, and do not listen yet. One for IPv6 takes no IPv4. Raises
    :class:`~swarm.errors.ConfigurationError` if one can't be had; then none is left open.
    """
    wanted = [(kind, address) for kind in kinds for address in dict.fromkeys(addresses)]
    for _ in range(_TRIES if port == 0 else 1):
        bound: list[socket.socket] = []
        trouble = _extend(bound, wanted, port)
        if trouble is None:
            return bound
        for sock in bound:
            sock.close()
        address, error = trouble
        if error.errno != errno.EADDRINUSE:
            break
    where = f"{address}:{port}"
    raise ConfigurationError(f"can't listen on {where}: {error.strerror or error}") from error


def _extend(
    bound: list[socket.socket], wanted: Sequence[tuple[socket.SocketKind, str]], port: int
) -> tuple[str, OSError] | None:
    """Add what is wanted to ``bound``; return the first address that can't be had, and why."""
    for kind, address in wanted:
        try:
            found = socket.getaddrinfo(address, port, type=kind, flags=socket.AI_PASSIVE)
            for family, where in dict.fromkeys((f, w) for f, _, _, _, w in found):
                bound.append(_bind(family, kind, (where[0], port, *where[2:])))
                port = bound[-1].getsockname()[1]
        except OSError as error:  # noqa: PERF203 - a handful of addresses
            return address, error
    return None


def _bind(family: int, kind: socket.SocketKind, where: tuple[str | int, ...]) -> socket.socket:
    with contextlib.ExitStack() as undo:
        sock = undo.enter_context(socket.socket(family, kind))
        if kind is TCP:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(where)
        undo.pop_all()
    return sock
