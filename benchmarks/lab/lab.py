"""A running lab: its network, its directory, the processes on its hosts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.lab import network
from benchmarks.lab.plan import plan
from swarm import netns
from swarm.deadline import within
from swarm.errors import RoleFailed
from swarm.fleet import die_with

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from benchmarks.lab.network import Network
    from benchmarks.lab.plan import Host, Plan, Shape

#: Files stay in memory, so that it is not the disk that is measured.
_MEMORY = Path("/dev/shm")  # noqa: S108 - not a temporary file's name: the file system itself
_STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Started:
    """One process on a host. ``role`` says what its processor time and memory are counted as."""

    role: str
    host: Host
    process: asyncio.subprocess.Process
    log: Path

    async def succeeded(self) -> None:
        """Wait for its end; raises :class:`~swarm.errors.RoleFailed` if it fails."""
        status = await self.process.wait()
        if status:
            raise RoleFailed(f"{self.role} at {self.host.name}: status {status}\n{self.words()}")

    def words(self) -> str:
        """Return the end of what it said."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    async def stop(self) -> None:
        """End it, if it still runs: asked first."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            await within(_STOP_SECONDS, self.process.wait())
        except asyncio.TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()


class Lab:
    """What contestants and scenarios are given; :func:`running_lab` makes it."""

    def __init__(self, made: Network, directory: Path) -> None:
        self.network = made
        self.plan: Plan = made.plan
        self.directory = directory
        #: Who runs, for the meters: process id to role.
        self.roles: dict[int, str] = {}
        self._count = 0

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The hosts that want the image."""
        return self.plan.hosts

    def netns(self, host: Host) -> str:
        """Return the name of a host's network namespace."""
        return self.network.netns(host)

    def root(self, host: Host) -> Path:
        """Return the directory of a host's own files; it is there."""
        path = self.directory / "hosts" / host.name
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def images(self) -> Path:
        """The source's directory of images."""
        return self.directory / "images"

    @contextlib.asynccontextmanager
    async def process(
        self,
        host: Host,
        role: str,
        command: Sequence[object],
        *,
        environment: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Started]:
        """Run a command on a host during the block, with a log file.

        Raises :class:`~swarm.errors.RoleFailed` if there is no such program.
        """
        if shutil.which(str(command[0])) is None:
            raise RoleFailed(f"{command[0]} is not installed")
        self._count += 1
        log = self.directory / "logs" / f"{host.name}-{role}-{self._count}.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *map(str, command),
                cwd=self.root(host),
                env=None if environment is None else {**os.environ, **environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=partial(_settle, os.getpid(), self.netns(host)),
            )
        started = Started(role, host, process, log)
        self.roles[process.pid] = role
        try:
            yield started
        finally:
            self.roles.pop(process.pid, None)
            await asyncio.shield(started.stop())


def _settle(parent: int, namespace: str) -> None:
    die_with(parent)
    netns.enter(namespace)


@contextlib.asynccontextmanager
async def running_lab(shape: Shape) -> AsyncIterator[Lab]:
    """Make a lab of ``shape``; when the block ends everything that it made is gone.

    Raises :class:`~swarm.errors.ConfigurationError` where no lab can be made.
    """
    network.check()
    prefix = f"{network.own_prefix()}-"
    # Its directory goes last: what ran in the network has ended by then, and writes no more.
    with tempfile.TemporaryDirectory(prefix=prefix, dir=_MEMORY) as directory:
        async with network.network(plan(shape)) as made:
            lab = Lab(made, Path(directory))
            lab.images.mkdir()
            yield lab


async def clean() -> list[str]:
    """Remove what labs left behind whose processes are gone; return the names of it."""
    names = await network.clean()
    for path in sorted(_MEMORY.iterdir()):
        if network.is_left_behind(path.name):
            await asyncio.to_thread(shutil.rmtree, path)
            names.append(str(path))
    return names
