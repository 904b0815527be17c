"""Running qemu-img: in a subprocess, with limits, never left behind.

Images are hostile input, and qemu-img has read them wrong before: what it may take is bounded, and
what it prints is not trusted to be short.
"""

from __future__ import annotations

import asyncio
import os
import sys

from swarm.deadline import within
from swarm.errors import ImageFailed, NoSpace, StorageFailed

#: What Nova allows `qemu-img info` (nova/privsep/qemu.py, QEMU_IMG_LIMITS).
INFO_LIMITS = ("--cpu=30", f"--as={1 << 30}")

_MOST_OUTPUT_BYTES = 1 << 20


async def run(*arguments: str, timeout_seconds: float, limits: tuple[str, ...] = ()) -> bytes:
    """Run ``qemu-img`` with ``arguments`` and return what it prints.

    ``limits`` are options of ``oslo_concurrency.prlimit``. The process is killed and awaited when
    the time is up or the caller is cancelled. Raises :class:`~swarm.errors.ImageFailed` when
    qemu-img fails, :class:`~swarm.errors.NoSpace` when that was for want of space, and
    :class:`~swarm.errors.StorageFailed` if there is no qemu-img here.
    """
    # A wrapper that limits itself and then becomes qemu-img: a function between fork and exec
    # (preexec_fn) is not safe in a process with threads.
    prefix = (sys.executable, "-m", "oslo_concurrency.prlimit", *limits, "--") if limits else ()
    try:
        process = await asyncio.create_subprocess_exec(
            *prefix,
            "qemu-img",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
            start_new_session=True,  # a Ctrl-C is for us: we kill it when we give up
        )
    except FileNotFoundError as error:
        raise StorageFailed("qemu-img is not installed on this seeder") from error
    try:
        output, complaint = await within(timeout_seconds, _output(process))
    except asyncio.TimeoutError as error:
        raise ImageFailed(
            f"qemu-img {arguments[0]} took longer than {timeout_seconds:g} s"
        ) from error
    finally:
        await _end(process)
    if process.returncode != 0:
        raise _failure(arguments[0], process.returncode, complaint)
    return output


async def _output(process: asyncio.subprocess.Process) -> tuple[bytes, bytes]:
    assert process.stdout is not None and process.stderr is not None  # noqa: S101, PT018 - for mypy
    output, complaint = await asyncio.gather(
        _read_limited(process.stdout), _read_limited(process.stderr)
    )
    await process.wait()
    return output, complaint


async def _read_limited(stream: asyncio.StreamReader) -> bytes:
    """Read to the end, keeping only the first of it."""
    kept = bytearray()
    while chunk := await stream.read(64 << 10):
        kept += chunk[: _MOST_OUTPUT_BYTES - len(kept)]
    return bytes(kept)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


def _failure(verb: str, status: int | None, complaint: bytes) -> ImageFailed | NoSpace:
    words = " ".join(complaint.decode("utf-8", "replace").split())[:500]
    if "No space left on device" in words or "Disk quota exceeded" in words:
        return NoSpace(f"qemu-img {verb}: {words}")
    return ImageFailed(f"qemu-img {verb} failed ({status}): {words}")
