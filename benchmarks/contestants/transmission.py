"""transmission-daemon, with its RPC to be driven by.

As it comes, but: it asks no router for a port, writes to the directory it is told, and has no
torrent wait for others.
"""

from __future__ import annotations

import base64
import contextlib
import json
from typing import TYPE_CHECKING, Any

from benchmarks.contestants.answers import first_answer
from benchmarks.contestants.bittorrent import Swarm, swarm_of
from swarm.errors import RoleFailed
from swarm.http_client import HttpClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from benchmarks.contestants.torrent import Torrent
    from benchmarks.lab.lab import Lab
    from benchmarks.lab.plan import Host

_URL = "http://127.0.0.1:9091"
_SETTINGS = {"download-queue-enabled": False}
_TOKEN = "X-Transmission-Session-Id"  # noqa: S105 - the name of a header
_CONFLICT = 409
#: A torrent's status (libtransmission/transmission.h, tr_torrent_activity).
_SEEDING = 6


class Transmission:
    """One transmission-daemon."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self._headers: dict[str, str] = {}

    async def add(self, torrent: Torrent, directory: Path) -> None:
        """Have it bring a torrent's file to a directory, and seed it; or seed what is there."""
        content = base64.b64encode(torrent.path.read_bytes()).decode()
        await self.call("torrent-add", {"metainfo": content, "download-dir": str(directory)})

    async def is_complete(self, torrent: Torrent) -> bool:
        """Return whether it seeds."""
        wanted = {"ids": [torrent.hex], "fields": ["status", "error", "errorString"]}
        told = (await self.call("torrent-get", wanted))["torrents"][0]
        return bool(told["status"] == _SEEDING)

    async def remove(self, torrent: Torrent) -> None:
        """Have it forget a torrent; the file stays."""
        await self.call("torrent-remove", {"ids": [torrent.hex]})

    async def call(self, method: str, arguments: Mapping[str, object]) -> dict[str, Any]:
        """Call a method; raises ``RoleFailed`` with its error."""
        body = {"method": method, "arguments": arguments}
        url = f"{_URL}/transmission/rpc"
        async with self._client.session.post(url, json=body, headers=self._headers) as response:
            if response.status != _CONFLICT:
                answer = json.loads(await response.read())
                if answer["result"] != "success":
                    raise RoleFailed(f"transmission {method}: {answer['result']}")
                return dict(answer["arguments"])
            # It wants to see that the caller can read its answers.
            self._headers = {_TOKEN: response.headers[_TOKEN]}
        return await self.call(method, arguments)


@contextlib.asynccontextmanager
async def _start(lab: Lab, host: Host, role: str) -> AsyncIterator[Transmission]:
    directory = lab.root(host) / "transmission"
    directory.mkdir()
    (directory / "settings.json").write_text(json.dumps(_SETTINGS))
    options = ["--foreground", "--no-portmap", "--config-dir", directory]
    async with (
        lab.process(host, role, ["transmission-daemon", *options]) as started,
        HttpClient(_URL, netns=lab.netns(host)) as client,
    ):
        transmission = Transmission(client)
        await first_answer(started, lambda: transmission.call("session-get", {}))
        yield transmission


def transmission(lab: Lab) -> AbstractAsyncContextManager[Swarm]:
    """Run transmission-daemon on every host during the block."""
    return swarm_of(lab, _start)
