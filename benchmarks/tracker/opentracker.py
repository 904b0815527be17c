"""opentracker (Erdgeist's, in C), as Debian has it: what our announces are measured beside.

Debian builds it to serve the torrents of a white list.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.tracker.subject import TRACKER_CORE, cpu_seconds_of
from swarm.errors import RoleFailed
from swarm.fleet import die_with
from swarm.listeners import TCP, UDP, bind_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

_READY_SECONDS = 10.0


@dataclass(frozen=True)
class Opponent:
    """A running opentracker."""

    process: asyncio.subprocess.Process
    #: Of TCP and UDP, on 127.0.0.1.
    port: int
    hashes: Sequence[bytes]

    def cpu_seconds(self) -> float:
        """Return the processor time it has used so far."""
        return cpu_seconds_of(self.process.pid)


@contextlib.asynccontextmanager
async def opentracker(hashes: Sequence[bytes]) -> AsyncIterator[Opponent]:
    """Run it during the block, on one core, for these torrents."""
    program = shutil.which("opentracker")
    if program is None:
        raise RoleFailed("opentracker is not installed: apt-get install opentracker")
    with tempfile.TemporaryDirectory(prefix="glance-swarm-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # it gives up root
        listed = directory / "whitelist"
        listed.write_text("".join(f"{value.hex()}\n" for value in hashes))
        sockets = bind_all(["127.0.0.1"], 0, kinds=[TCP, UDP])
        port = str(sockets[0].getsockname()[1])
        for sock in sockets:
            sock.close()
        words = [program, "-i", "127.0.0.1", "-p", port, "-P", port, "-w", str(listed)]
        process = await asyncio.create_subprocess_exec(
            *words,
            cwd=directory,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            preexec_fn=partial(die_with, os.getpid()),
        )
        os.sched_setaffinity(process.pid, {TRACKER_CORE})
        try:
            await _listens(int(port))
            yield Opponent(process, int(port), hashes)
        finally:
            process.kill()
            await process.wait()


async def _listens(port: int) -> None:
    deadline = asyncio.get_running_loop().time() + _READY_SECONDS
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError as error:
            if asyncio.get_running_loop().time() > deadline:
                raise RoleFailed("opentracker does not listen") from error
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
