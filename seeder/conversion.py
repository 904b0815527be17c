"""Bytes -> torrent, in one pass: piece hashes, merkle root and Glance's hash at once.

Either a file is read in place, or a stream is written to a file while it is hashed. Nothing is
returned for bytes that do not have the hash that the source recorded. Memory: a few buffers.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from swarm import metainfo
from swarm.blocking import in_thread
from swarm.disk_errors import translated
from swarm.errors import ImageCorrupt, ImageFailed, SourceUnreachable
from swarm.hashing import DEFAULT_ALGO, ContentHasher, ContentHashes
from swarm.messages import ImageDescription, Variant

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from swarm.metainfo import Metainfo
    from swarm.torrent_version import TorrentVersion

_LOG = logging.getLogger(__name__)

_BUFFER_BYTES = 4 << 20


@dataclass(frozen=True)
class Conversion:
    """A variant's torrent and the hash of its whole bytes."""

    metainfo: Metainfo
    hash_algo: str
    hash_value: str
    #: What the pass took; None if the hashes were on record.
    seconds: float | None = None


async def hash_file(
    image: ImageDescription, variant: Variant, path: Path, size: int, version: TorrentVersion
) -> Conversion:
    """Return the torrent of a variant whose ``size`` bytes are in the file at ``path``.

    Raises :class:`~swarm.errors.ImageCorrupt` if they are not those that the source recorded, and
    :class:`~swarm.errors.SourceUnreachable` if the file has another size or can't be read.
    """
    started = time.monotonic()
    stop = threading.Event()
    length, algo = metainfo.piece_length(size), _algorithm(image, variant)
    hasher = ContentHasher(size, length, algo=algo, version=version)
    hashes = await in_thread(partial(_hash_file, path, size, hasher, stop), stop=stop)
    return _conclude(image, variant, hashes, started)


async def hash_stream(
    image: ImageDescription, chunks: AsyncIterator[bytes], path: Path, version: TorrentVersion
) -> Conversion:
    """Write the original bytes to a new file at ``path``, and return their torrent.

    The file is on disk (fdatasync) when this returns. Raises what ``chunks`` raises,
    :class:`~swarm.errors.ImageCorrupt`, :class:`~swarm.errors.NoSpace` and
    :class:`~swarm.errors.StorageFailed`; the file is then the caller's to remove.
    """
    started = time.monotonic()
    length, algo = metainfo.piece_length(image.size), _algorithm(image, Variant.ORIGINAL)
    with translated(f"write {path}"), path.open("wb", buffering=0) as file:
        with ContentHasher(image.size, length, algo=algo, version=version) as hasher:
            received = await _absorb(image, chunks, hasher, file.fileno())
            if received != image.size:
                raise SourceUnreachable(
                    f"image {image.id}: the bytes ended after {received} of {image.size}"
                )
            hashes = await in_thread(hasher.finish)
        await in_thread(partial(os.fdatasync, file.fileno()))
    return _conclude(image, Variant.ORIGINAL, hashes, started)


async def _absorb(
    image: ImageDescription, chunks: AsyncIterator[bytes], hasher: ContentHasher, fd: int
) -> int:
    """Hash and write each chunk while the next one arrives; return the number of bytes."""

    def take(chunk: bytes) -> None:
        writing = beside.submit(_write_all, fd, chunk)
        try:
            hasher.update(chunk)
        finally:
            writing.result()

    received = 0
    working: asyncio.Future[None] | None = None
    async with contextlib.AsyncExitStack() as stack:
        # A disk that is behind makes writing wait: the hashes need not.
        beside = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="stage"))
        if hasattr(chunks, "aclose"):
            stack.push_async_callback(chunks.aclose)
        try:
            async for chunk in chunks:
                received += len(chunk)
                if received > image.size:
                    raise ImageCorrupt(
                        f"image {image.id} has more than the {image.size} bytes it should have"
                    )
                if working is not None:
                    await working
                working = asyncio.ensure_future(in_thread(partial(take, chunk)))
        finally:
            # Also when cancelled: the thread writes to a descriptor that is about to be closed.
            if working is not None:
                await working
    return received


def _write_all(fd: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(fd, view) :]


def _hash_file(
    path: Path, size: int, hasher: ContentHasher, stop: threading.Event
) -> ContentHashes:
    # The hasher still reads a chunk while we fetch the next one: hence two buffers in turn.
    buffers = [memoryview(bytearray(_BUFFER_BYTES)), memoryview(bytearray(_BUFFER_BYTES))]
    try:
        with path.open("rb", buffering=0) as file, hasher:
            before = os.fstat(file.fileno())
            _check_size(path, before.st_size, size)
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            turn = 0
            while not stop.is_set() and (count := file.readinto(buffers[turn])):
                hasher.update(buffers[turn][:count])
                turn = 1 - turn
            if stop.is_set():
                raise SourceUnreachable(f"{path}: reading it was given up")
            after = os.fstat(file.fileno())
            if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                raise SourceUnreachable(f"{path} was written to while it was read")
            return hasher.finish()
    except OSError as error:
        raise SourceUnreachable(f"{path} can't be read: {error.strerror}") from error


def _check_size(path: Path, found: int, expected: int) -> None:
    if found != expected:
        raise SourceUnreachable(f"{path} has {found} bytes and not {expected}")


def _algorithm(image: ImageDescription, variant: Variant) -> str:
    """Return Glance's hash algorithm for the original, ours for what Glance has no hash of."""
    if variant is not Variant.ORIGINAL or image.os_hash_value is None:
        return DEFAULT_ALGO
    algo = image.os_hash_algo or DEFAULT_ALGO
    if algo not in hashlib.algorithms_available:
        raise ImageFailed(f"image {image.id}: its os_hash_algo {algo!r} is not known here")
    return algo


def _conclude(
    image: ImageDescription, variant: Variant, hashes: ContentHashes, started: float
) -> Conversion:
    seconds = time.monotonic() - started
    if variant is Variant.ORIGINAL and image.os_hash_value not in {None, hashes.hash_value}:
        raise ImageCorrupt(
            f"image {image.id}: {hashes.hash_algo} of its bytes is {hashes.hash_value[:16]}..., "
            f"but {image.os_hash_value[:16]}... is on record",
            image_id=image.id,
        )
    torrent = metainfo.build(image.id, variant, hashes)
    _LOG.info(
        "hashed %s: %d bytes in %.2f s, %.0f MB/s",
        *(torrent.name, hashes.size, seconds, hashes.size / max(seconds, 1e-9) / 1e6),
    )
    return Conversion(torrent, hashes.hash_algo, hashes.hash_value, seconds)
