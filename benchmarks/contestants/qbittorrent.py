"""qbittorrent-nox, with its Web API to be driven by.

As it comes, but: its legal notice is accepted and its API open to its own host, it listens at one
port, writes to the directory it is told, and has no torrent wait for others.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import aiohttp

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

_URL = "http://127.0.0.1:8081"

_PROFILE = r"""
[LegalNotice]
Accepted=true

[BitTorrent]
Session\Port=6881
Session\QueueingSystemEnabled=false

[Preferences]
WebUI\Address=127.0.0.1
WebUI\Port=8081
WebUI\LocalHostAuth=false
"""

#: What it calls a torrent that it has, and gives.
_SEEDS = {"uploading", "stalledUP", "forcedUP"}
_FAULTS = {"error", "missingFiles"}


class QBittorrent:
    """One qbittorrent-nox."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    async def add(self, torrent: Torrent, directory: Path) -> None:
        """Have it bring a torrent's file to a directory, and seed it; or seed what is there."""
        form = aiohttp.FormData({"savepath": str(directory), "autoTMM": "false"})
        form.add_field("torrents", torrent.path.read_bytes(), filename=torrent.path.name)
        said = await self._post("add", form)
        if said != "Ok.":
            raise RoleFailed(f"qBittorrent does not take the torrent: {said}")

    async def is_complete(self, torrent: Torrent) -> bool:
        """Return whether it seeds."""
        found = json.loads(await self._post("info", {"hashes": torrent.hex}))
        if not found:
            return False  # it adds torrents when it comes to it
        state = found[0]["state"]
        if state in _FAULTS:
            raise RoleFailed(f"qBittorrent: the torrent's state is {state}")
        return state in _SEEDS

    async def remove(self, torrent: Torrent) -> None:
        """Have it forget a torrent; the file stays."""
        await self._post("delete", {"hashes": torrent.hex, "deleteFiles": "false"})

    async def version(self) -> str:
        """Return its version, once it answers."""
        async with self._client.session.get(f"{_URL}/api/v2/app/version") as response:
            return await response.text()

    async def _post(self, what: str, form: aiohttp.FormData | Mapping[str, str]) -> str:
        url = f"{_URL}/api/v2/torrents/{what}"
        async with self._client.session.post(url, data=form) as response:
            text = await response.text()
            if not response.ok:
                raise RoleFailed(f"qBittorrent: {what}: {response.status} {text}")
            return text


@contextlib.asynccontextmanager
async def _start(lab: Lab, host: Host, role: str) -> AsyncIterator[QBittorrent]:
    directory = lab.root(host)
    profile = directory / "qBittorrent" / "config" / "qBittorrent.conf"
    profile.parent.mkdir(parents=True)
    profile.write_text(_PROFILE)
    async with (
        lab.process(host, role, ["qbittorrent-nox", f"--profile={directory}"]) as started,
        HttpClient(_URL, netns=lab.netns(host)) as client,
    ):
        qbittorrent = QBittorrent(client)
        await first_answer(started, qbittorrent.version)
        yield qbittorrent


def qbittorrent(lab: Lab) -> AbstractAsyncContextManager[Swarm]:
    """Run qbittorrent-nox on every host during the block."""
    return swarm_of(lab, _start)
