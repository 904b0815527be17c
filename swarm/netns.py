"""Network namespaces by name, as `ip netns` keeps them: sockets and child processes in another one.

For whoever drives roles on many hosts of one machine; a role itself knows nothing of namespaces.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Where `ip netns add` binds namespaces to names.
DIRECTORY = "/run/netns"

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def entered(name: str | None) -> Iterator[None]:
    """Have this thread make its sockets in namespace ``name`` during the block; None is our own.

    A socket stays where it was made. There must be no `await` in the block: other tasks of the
    thread would be there too. Raises :class:`OSError` without such a namespace, or the right.
    """
    if name is None:
        yield
        return
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(name)
        yield
    finally:
        _set(own)
        os.close(own)


def enter(name: str) -> None:
    """Put this thread into namespace ``name`` for good; for a child process before its exec."""
    there = os.open(f"{DIRECTORY}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _set(there)
    finally:
        os.close(there)


def socket_in(name: str | None, address: tuple[Any, ...]) -> socket.socket:
    """Return a new socket in namespace ``name``; ``address`` is as `socket.getaddrinfo` has it."""
    family, kind, protocol = address[:3]
    with entered(name):
        return socket.socket(family, kind, protocol)


def _set(descriptor: int) -> None:
    if _LIBC.setns(descriptor, _CLONE_NEWNET):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
