"""Roles as child processes of one parent: for the demo, the tests and the benchmarks.

Each role is the real command in a process of its own, with a log file. Whatever ends the parent
ends them all: `async with` in the ordinary case, the kernel (PR_SET_PDEATHSIG) if it is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from swarm.errors import RoleFailed, Unavailable
from swarm.http_client import HttpClient
from swarm.netns import enter, socket_in

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

_READY_SECONDS = 30.0
_LOOK_SECONDS = 0.05
_STOP_SECONDS = 15.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Role:
    """One running role."""

    name: str
    #: Where its API answers.
    url: str
    process: asyncio.subprocess.Process
    log: Path
    #: The network namespace that it runs in; None is ours.
    netns: str | None = None

    def last_words(self, lines: int = 15) -> str:
        """Return the end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def peak_memory_bytes(self) -> int:
        """Return the most memory it held at one time (VmHWM); 0 if it is gone."""
        with contextlib.suppress(OSError), open(f"/proc/{self.process.pid}/status") as file:  # noqa: PTH123
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) << 10
        return 0

    async def kill(self) -> None:
        """End it as a crash would."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


class Fleet:
    """The roles that were started, in a directory with their state and logs.

    ::

        async with Fleet(directory) as fleet:
            tracker = await fleet.start_tracker()
            seeder = await fleet.start_seeder(tracker.url, "--directory", str(images))
            agent = await fleet.start_agent(tracker.url, "a1", root=target, address="127.0.0.2")

    Starting raises :class:`~swarm.errors.RoleFailed` with the end of the role's log.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.roles: dict[str, Role] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start_tracker(
        self,
        *options: str,
        address: str = "127.0.0.1",
        port: int = 0,
        name: str = "tracker",
        netns: str | None = None,
    ) -> Role:
        """Start a tracker with its state below the directory; port 0 takes a free one."""
        return await self._start(
            name, ["tracker", "serve"], options, address=address, port=port, netns=netns
        )

    async def start_seeder(
        self,
        tracker_url: str,
        *options: str,
        address: str = "127.0.0.1",
        name: str = "seeder",
        netns: str | None = None,
    ) -> Role:
        """Start a seeder that publishes to the tracker at ``tracker_url``."""
        command = ["seeder", "serve", "--tracker-url", tracker_url, *_engine(address, netns)]
        return await self._start(name, command, options, address=address, netns=netns)

    async def start_agent(
        self,
        tracker_url: str,
        name: str,
        *options: str,
        root: Path,
        address: str,
        api_address: str | None = None,
        netns: str | None = None,
    ) -> Role:
        """Start a peer agent that may write below ``root`` and meets its peers at ``address``.

        Its API is at ``api_address``, a loopback one, unless ``address`` is that too.
        """
        command = ["peer", "serve", "--tracker-url", tracker_url, *_engine(address, netns)]
        command += ["--root", str(root)]
        return await self._start(
            name, command, options, address=api_address or address, netns=netns
        )

    async def _start(
        self,
        name: str,
        command: list[str],
        options: tuple[str, ...],
        *,
        address: str,
        port: int = 0,
        netns: str | None,
    ) -> Role:
        log = self.directory / f"{name}.log"
        port = port or free_port(address, netns)
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "swarm", *command),
                *("--state-dir", str(self.directory / name)),
                *("--listen-address", address, "--listen-port", str(port)),
                *options,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C in the terminal is for the parent, who ends its children in order.
                start_new_session=True,
                preexec_fn=partial(_settle, os.getpid(), netns),
            )
        role = self.roles[name] = Role(name, f"http://{address}:{port}", process, log, netns)
        await self._wait_until_ready(role)
        return role

    async def _wait_until_ready(self, role: Role) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _READY_SECONDS
        async with HttpClient(role.url, netns=role.netns) as client:
            while True:
                with contextlib.suppress(Unavailable):
                    await client.call("GET", "/healthz")
                    return
                if role.process.returncode is not None:
                    raise RoleFailed(f"{role.name} ended at its start:\n{role.last_words()}")
                if loop.time() > deadline:
                    raise RoleFailed(f"{role.name} is not ready:\n{role.last_words()}")
                await asyncio.sleep(_LOOK_SECONDS)

    def check(self) -> None:
        """Raise :class:`~swarm.errors.RoleFailed` if a role has ended by itself."""
        for role in self.roles.values():
            if role.process.returncode is not None:
                raise RoleFailed(
                    f"{role.name} ended with status {role.process.returncode}:\n{role.last_words()}"
                )

    async def stop(self) -> None:
        """End all roles: SIGTERM to agents, then seeders, then trackers; SIGKILL for who stays."""
        roles = list(reversed(self.roles.values()))
        self.roles.clear()
        for role in roles:
            with contextlib.suppress(ProcessLookupError):
                role.process.send_signal(signal.SIGTERM)
        ends = [asyncio.ensure_future(role.process.wait()) for role in roles]
        if ends:
            _, late = await asyncio.wait(ends, timeout=_STOP_SECONDS)
            for role in roles if late else ():
                await role.kill()


def _engine(address: str, netns: str | None) -> list[str]:
    """Return the options of a role's engine: it listens at a free port of ``address``."""
    return ["--engine-address", address, "--engine-port", str(free_port(address, netns))]


def _settle(parent: int, netns: str | None) -> None:
    """Be what a role's process shall be, before its exec."""
    die_with(parent)
    if netns is not None:
        enter(netns)


def free_port(address: str, netns: str | None = None) -> int:
    """Return a TCP port that is free at ``address`` now, in a network namespace."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket_in(netns, (family, socket.SOCK_STREAM, 0)) as sock:
        sock.bind((address, 0))
        return int(sock.getsockname()[1])


def die_with(parent: int) -> None:
    """Have the kernel end this process when ``parent`` ends, even if that was a moment ago."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)
