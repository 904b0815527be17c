"""BitTorrent clients of other people, as they come from Debian: aria2, transmission, qBittorrent.

Each is one process for one torrent, on a loopback address of its own, with home, configuration and
downloads below one directory. Encryption is as the client has it by default: our engine speaks
plaintext only, and they have to cope.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import aiohttp
import pytest

from swarm.deadline import within
from swarm.fleet import die_with, free_port
from tests.waiting import until_async

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

_STOP_SECONDS = 15.0


class OtherClient:
    """Use it as an asynchronous context manager; whatever happens, its process ends with the block.

    ::

        async with Aria2(directory, "127.0.0.30", torrent) as client:
            await client.wait(seconds=60)
        bytes = client.file(name).read_bytes()
    """

    program: ClassVar[str]
    #: The polite signal: it says good-bye to the tracker.
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, directory: Path, address: str, torrent: Path) -> None:
        self.directory = directory
        self.address = address
        self.torrent = torrent
        self.port = free_port(address)
        self.downloads = directory / "downloads"
        self.log = directory / "log"

    def file(self, name: str) -> Path:
        """Return where it saves a file of that name."""
        return self.downloads / name

    async def __aenter__(self) -> Self:
        require(self.program)
        self.downloads.mkdir(parents=True)
        # Nothing of the user who runs the tests is read or written, and no proxy is asked.
        places = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "TMPDIR")
        env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "QT_QPA_PLATFORM": "offscreen"}
        with self.log.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *(self.program, *self.arguments()),
                cwd=self.directory,
                env={**env, **dict.fromkeys(places, str(self.directory))},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=partial(die_with, os.getpid()),
            )
        try:
            await self.added()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def arguments(self) -> list[str]:
        """Write its configuration, and return the arguments to start it with."""
        raise NotImplementedError

    async def added(self) -> None:
        """Wait until it has the torrent."""

    async def is_complete(self) -> bool:
        """Tell whether it has every byte."""
        raise NotImplementedError

    async def wait(self, *, seconds: float) -> None:
        """Wait until it has every byte; fails with the end of its log."""

        async def has_come() -> bool:
            return await self.is_complete() or self.process.returncode is not None

        try:
            await until_async(has_come, what=f"{self.program} has the file", seconds=seconds)
            assert await self.is_complete(), f"{self.program} ended: {self.process.returncode}"
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.last_words()}") from error

    async def stop(self) -> None:
        """End it politely; if it does not listen, by force."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(self.stop_signal)
        try:
            await within(_STOP_SECONDS, self.process.wait())
        except asyncio.TimeoutError:
            os.killpg(self.process.pid, signal.SIGKILL)  # it leads a group of its own
            await self.process.wait()

    def last_words(self, characters: int = 3000) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace").replace("\r", "\n")[-characters:]


class Aria2(OtherClient):
    """aria2 (v1); it ends by itself once it has the file."""

    program = "aria2c"

    def arguments(self) -> list[str]:
        """Everything is said on the command line."""
        # Its UDP trackers share a socket with its DHT, which a private torrent does not use.
        options = {
            "dir": self.downloads,
            "interface": self.address,
            "listen-port": self.port,
            "enable-dht": "true",
            "dht-listen-port": self.port,
            "dht-file-path": self.directory / "dht.dat",
            "enable-dht6": "false",
            "disable-ipv6": "true",
            "bt-enable-lpd": "false",
            "seed-time": 0,
            "file-allocation": "none",
            "console-log-level": "info",
            "summary-interval": 5,
        }
        words = [f"--{name}={value}" for name, value in options.items()]
        return ["--no-conf", *words, str(self.torrent)]

    async def is_complete(self) -> bool:
        """Tell whether it ended with status 0: only then the file is whole."""
        return self.process.returncode == 0


class Transmission(OtherClient):
    """transmission-cli (v1); it goes on seeding.

    It never connects to a loopback address by itself (libtransmission takes those for martians),
    but accepts connections from one: our side has to come to it.
    """

    program = "transmission-cli"
    stop_signal = signal.SIGINT

    def arguments(self) -> list[str]:
        """Switch off what reaches beyond the swarm, and bind to the one address."""
        settings = {
            "bind-address-ipv4": self.address,
            "bind-address-ipv6": "::1",
            "dht-enabled": False,
            "lpd-enabled": False,
            "pex-enabled": False,
            "utp-enabled": False,
            "port-forwarding-enabled": False,
            "rename-partial-files": True,
        }
        (self.directory / "settings.json").write_text(json.dumps(settings))
        config = ["--config-dir", str(self.directory), "--download-dir", str(self.downloads)]
        return [*config, "--no-portmap", "--port", str(self.port), str(self.torrent)]

    async def is_complete(self) -> bool:
        """Tell whether the file has its final name; one that lacks something is named *.part."""
        return any(path.suffix != ".part" for path in self.downloads.iterdir())


class QBittorrent(OtherClient):
    """qbittorrent-nox (v1, v2 and hybrid) through its Web API; it goes on seeding."""

    program = "qbittorrent-nox"

    def arguments(self) -> list[str]:
        """Write its profile: the Web API on the one address, open to this host."""
        self.api = f"http://{self.address}:{free_port(self.address)}/api/v2"
        profile = self.directory / "qBittorrent" / "config" / "qBittorrent.conf"
        profile.parent.mkdir(parents=True)
        profile.write_text(
            _QBITTORRENT.format(
                address=self.address,
                port=self.port,
                api_port=self.api.rsplit(":", 1)[1].split("/")[0],
                downloads=self.downloads,
            )
        )
        return [f"--profile={self.directory}"]

    async def added(self) -> None:
        """Give it the torrent once its API answers."""

        async def is_taken() -> bool:
            form = aiohttp.FormData()
            form.add_field("torrents", self.torrent.read_bytes(), filename=self.torrent.name)
            with contextlib.suppress(aiohttp.ClientError):
                async with (
                    aiohttp.ClientSession() as session,
                    session.post(f"{self.api}/torrents/add", data=form) as answer,
                ):
                    text = await answer.text()
                    assert (answer.status, text) == (200, "Ok."), self.last_words()
                    return True
            assert self.process.returncode is None, self.last_words()
            return False

        await until_async(is_taken, what="the API of qBittorrent answers", seconds=30)

    async def is_complete(self) -> bool:
        """Tell what it says itself."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.api}/torrents/info") as answer,
        ):
            found = await answer.json()
        return bool(found) and found[0]["progress"] == 1 and found[0]["state"].endswith("UP")


_QBITTORRENT = r"""
[LegalNotice]
Accepted=true

[BitTorrent]
Session\InterfaceAddress={address}
Session\Port={port}
Session\DefaultSavePath={downloads}
Session\DHTEnabled=false
Session\LSDEnabled=false
Session\PeXEnabled=false
Session\QueueingSystemEnabled=false
Session\BTProtocol=TCP

[Network]
PortForwardingEnabled=false

[Preferences]
WebUI\Address={address}
WebUI\Port={api_port}
WebUI\LocalHostAuth=false
WebUI\UseUPnP=false
"""


def require(program: str) -> None:
    """Skip the test without ``program``; in CI that is a failure."""
    if shutil.which(program) is None:
        reason = f"{program} is not installed"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
