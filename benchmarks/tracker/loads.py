"""The loads, on a core of their own: our program for UDP, wrk for HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.tracker.subject import LOAD_CORE
from swarm.errors import RoleFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_HERE = Path(__file__).parent
#: Nodes on each torrent, and peers that each asks for.
PEERS, NUMWANT = 64, 50
_FILL_WINDOW = 128


class Loads:
    """What puts load on a tracker that serves some torrents. Made by :func:`loads`."""

    def __init__(self, directory: Path, hashes: Sequence[bytes]) -> None:
        self._program = directory / "udp_load"
        self._hashes = directory / "hashes"
        self._hashes.write_bytes(b"".join(hashes))

    async def build(self) -> None:
        """Compile what has to be."""
        words = ["-O2", "-Wall", "-o", str(self._program), str(_HERE / "udp_load.c")]
        await _run(_found("gcc"), *words)

    async def fill(self, port: int) -> None:
        """Have everybody announce everything once, over UDP, so that the swarms are there."""
        await self.udp(port, seconds=0.1, window=_FILL_WINDOW)

    async def udp(self, port: int, *, seconds: float, window: int) -> dict[str, Any]:
        """Have everybody announce everything once, and then for ``seconds``; figures of those."""
        words = ("127.0.0.1", port, self._hashes, PEERS, NUMWANT, window, seconds)
        figures: dict[str, Any] = json.loads(await _run(str(self._program), *map(str, words)))
        return figures

    async def http(self, port: int, *, seconds: float, connections: int) -> dict[str, Any]:
        """Have connections announce one after the other, for ``seconds``; return figures.

        Connections are kept if the tracker keeps them; else wrk makes new ones.
        """
        output = await _run(
            *(_found("wrk"), "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--latency"),
            *("-s", str(_HERE / "announce.lua"), f"http://127.0.0.1:{port}"),
            *("--", str(self._hashes), str(NUMWANT)),
        )
        figures: dict[str, Any] = json.loads(output.splitlines()[-1])
        return figures


@contextlib.contextmanager
def loads(hashes: Sequence[bytes]) -> Iterator[Loads]:
    """Have a directory for the loads during the block."""
    with tempfile.TemporaryDirectory(prefix="glance-swarm-bench-") as name:
        yield Loads(Path(name), hashes)


def _found(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise RoleFailed(f"{program} is not installed: apt-get install {program}")
    return path


async def _run(*words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=partial(os.sched_setaffinity, 0, {LOAD_CORE}),
    )
    output, complaints = await process.communicate()
    if process.returncode:
        raise RoleFailed(f"{words[0]} ended with {process.returncode}: {complaints.decode()}")
    return output.decode()
