"""aria2, with its RPC to be driven by.

As it comes, but: it listens at one port, writes to the directory it is told, and does not stop to
seed when it has given as much as it got (``seed-ratio`` 0), nor lets a torrent wait for others. It
looks once a second whether to announce, to connect and to unchoke, so that its first bytes come
after about three seconds; it is the same when it is started with the torrent.
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
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from benchmarks.contestants.torrent import Torrent
    from benchmarks.lab.lab import Lab
    from benchmarks.lab.plan import Host

_URL = "http://127.0.0.1:6800"

_OPTIONS = {
    "enable-rpc": "true",
    "rpc-listen-port": "6800",
    "listen-port": "6881",
    # Its DHT would keep a file in the user's home.
    "enable-dht": "false",
    "seed-ratio": "0.0",
    "max-concurrent-downloads": "100",
}


class Aria2:
    """One aria2."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        #: Its own names for downloads, by torrent.
        self._ids: dict[str, str] = {}

    async def add(self, torrent: Torrent, directory: Path) -> None:
        """Have it bring a torrent's file to a directory, and seed it; or seed what is there."""
        content = base64.b64encode(torrent.path.read_bytes()).decode()
        options = {"dir": str(directory)}
        if (directory / torrent.name).exists():
            options["check-integrity"] = "true"  # or it would not take the file
        self._ids[torrent.hex] = await self.call("addTorrent", content, [], options)

    async def is_complete(self, torrent: Torrent) -> bool:
        """Return whether it seeds."""
        wanted = ["seeder", "status", "errorMessage"]
        told = await self.call("tellStatus", self._ids[torrent.hex], wanted)
        if told["status"] == "error":
            raise RoleFailed(f"aria2: {told.get('errorMessage')}")
        return bool(told.get("seeder") == "true")

    async def remove(self, torrent: Torrent) -> None:
        """Have it forget a torrent; the file stays. Forced, it does not wait for its tracker."""
        await self.call("forceRemove", self._ids.pop(torrent.hex))

    async def call(self, method: str, *parameters: object) -> Any:  # noqa: ANN401 - JSON
        """Call a method over JSON-RPC; raises ``RoleFailed`` with its error."""
        body = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": f"aria2.{method}",
            "params": parameters,
        }
        async with self._client.session.post(f"{_URL}/jsonrpc", json=body) as response:
            answer = json.loads(await response.read())
        if "error" in answer:
            raise RoleFailed(f"aria2.{method}: {answer['error']}")
        return answer["result"]


@contextlib.asynccontextmanager
async def _start(lab: Lab, host: Host, role: str) -> AsyncIterator[Aria2]:
    command = ["aria2c", "--no-conf", *(f"--{name}={value}" for name, value in _OPTIONS.items())]
    async with (
        lab.process(host, role, command) as started,
        HttpClient(_URL, netns=lab.netns(host)) as client,
    ):
        aria2 = Aria2(client)
        await first_answer(started, lambda: aria2.call("getVersion"))
        yield aria2


def aria2(lab: Lab) -> AbstractAsyncContextManager[Swarm]:
    """Run aria2 on every host during the block."""
    return swarm_of(lab, _start)
