"""Where an application listens, and who meets its connections first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from aiohttp import web

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

#: Connections that wait to be accepted, as far as net.core.somaxconn allows.
BACKLOG = 4096


class Front(Protocol):
    """Makes the protocols of new connections, and keeps some of them from aiohttp."""

    def __call__(self) -> asyncio.BaseProtocol:
        """Return the protocol of a new connection."""

    def close(self) -> None:
        """Close the connections that it kept, and take no more."""


class Site(web.BaseSite):
    """A bound socket; ``protocols`` makes the protocols of its connections."""

    def __init__(
        self,
        runner: web.AppRunner,
        sock: socket.socket,
        protocols: Callable[[], asyncio.BaseProtocol],
    ) -> None:
        super().__init__(runner, backlog=BACKLOG)
        self._socket = sock
        self._protocols = protocols

    @property
    def name(self) -> str:
        """Return the URL that it listens on."""
        return url_of(self._socket.getsockname())

    async def start(self) -> None:
        """Listen."""
        await super().start()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocols, sock=self._socket, backlog=BACKLOG)


def url_of(name: str | tuple[str, int]) -> str:
    """Return the URL of what a socket says of itself: its path, or its address and port."""
    if isinstance(name, str):
        return f"unix://{name}"
    host, port = name[0], name[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
