"""opentracker (Erdgeist's, in C) on the tracker's host, for BitTorrent programs of other people.

As Debian has it: announces over HTTP and UDP, the next one after half an hour, and only for the
torrents of a white list. The torrents name it by its HTTP address, which all programs know.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from typing import TYPE_CHECKING

from yarl import URL

from benchmarks.contestants.answers import first_answer
from swarm import bencode
from swarm.errors import RoleFailed
from swarm.http_client import HttpClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from benchmarks.contestants.torrent import Torrent
    from benchmarks.lab.lab import Lab, Started

_PORT = 6969
_LOOK_SECONDS = 0.05
_LIST_SECONDS = 10.0
_SEEDER_SECONDS = 60.0


class OpenTracker:
    """The running tracker."""

    def __init__(self, process: Started, client: HttpClient, listed: Path) -> None:
        self._process = process
        self._client = client
        self._listed = listed

    @property
    def announce_url(self) -> str:
        """What torrents name it by."""
        return f"{self._client.url}/announce"

    async def serve(self, torrents: Iterable[Torrent]) -> None:
        """Let it serve these torrents, and no others.

        Raises :class:`~swarm.errors.RoleFailed` if it does not take the list.
        """
        hashes = [torrent.info_hash for torrent in torrents]
        self._listed.write_text("".join(f"{value.hex()}\n" for value in hashes))
        self._process.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + _LIST_SECONDS
        for value in hashes:
            while not await self._lists(value):
                self._check(deadline, "does not take its list")
                await asyncio.sleep(_LOOK_SECONDS)

    async def has_seeder(self, torrent: Torrent) -> None:
        """Wait until a seeder of a torrent has announced itself."""
        deadline = time.monotonic() + _SEEDER_SECONDS
        while not await self._seeders(torrent.info_hash):
            self._check(deadline, f"knows no seeder of {torrent.name}")
            await asyncio.sleep(_LOOK_SECONDS)

    def _check(self, deadline: float, what: str) -> None:
        if self._process.process.returncode is not None or time.monotonic() > deadline:
            raise RoleFailed(f"opentracker {what}:\n{self._process.words()}")

    async def _lists(self, info_hash: bytes) -> bool:
        """Ask with an announce that names no port, and so leaves no peer behind."""
        answer = await self._ask(
            "announce", info_hash, f"&peer_id={'-' * 20}&port=0&left=1&event=stopped"
        )
        return b"failure reason" not in answer

    async def _seeders(self, info_hash: bytes) -> int:
        match await self._ask("scrape", info_hash):
            case {b"files": {**files}} if info_hash in files:
                match files[info_hash]:
                    case {b"complete": int(count)}:
                        return count
        return 0

    async def _ask(self, what: str, info_hash: bytes, more: str = "") -> dict[bytes, bencode.Value]:
        """Ask about a torrent, with every byte of its hash escaped: no URL library changes it."""
        escaped = "".join(f"%{byte:02x}" for byte in info_hash)
        url = URL(f"{self._client.url}/{what}?info_hash={escaped}{more}", encoded=True)
        async with self._client.session.get(url) as response:
            answer = bencode.decode(await response.read())
        assert isinstance(answer, dict)  # noqa: S101 - it is a tracker
        return answer


@contextlib.asynccontextmanager
async def opentracker(lab: Lab) -> AsyncIterator[OpenTracker]:
    """Run it on the tracker's host during the block."""
    host = lab.plan.tracker
    listed = lab.root(host) / "whitelist"
    listed.touch()
    # It does not run as root; and a change of user undoes what ends it with its parent.
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--pdeathsig=KILL"]
    # The list's name is a relative one: nobody but root gets into the lab's directory.
    options = ["-i", host.address, "-p", _PORT, "-P", _PORT, "-w", listed.name]
    url = f"http://{host.address}:{_PORT}"
    async with (
        lab.process(host, "tracker", [*user, "opentracker", *options]) as process,
        HttpClient(url, netns=lab.netns(host)) as client,
    ):
        await first_answer(process, lambda: client.session.get(f"{url}/scrape"))
        yield OpenTracker(process, client, listed)
