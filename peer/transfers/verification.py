"""Reading a whole file again and comparing what it is with what it should be.

Each piece was verified when it arrived; this is for ``verify=full``, for copies of files that
anybody may have changed since, and for files that were touched while the agent was away.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from swarm.disk_errors import translated
from swarm.errors import ImageCorrupt, StorageFailed
from swarm.hashing import ContentHasher, ContentHashes

if TYPE_CHECKING:
    import threading

    from swarm.metainfo import Metainfo

_CHUNK_BYTES = 4 << 20

#: When only the torrent's own hashes are of interest: the fastest whole-file hash there is.
ANY_ALGO = "sha256"


class Stopped(Exception):
    """The reading was stopped half-way: nobody waits for its result any more."""


def hash_file(
    fd: int, metainfo: Metainfo, stop: threading.Event, *, algo: str = ANY_ALGO
) -> ContentHashes:
    """Return the hashes of the file at ``fd``, read from the disk and not from memory; blocks.

    Raises :class:`~swarm.errors.StorageFailed` if it can't be read or is too short,
    :class:`~swarm.errors.MetainfoError` for an unknown ``algo``, and :class:`Stopped`.
    """
    # Two buffers by turns: the hasher still reads one while the other is filled.
    buffers = [bytearray(_CHUNK_BYTES), bytearray(_CHUNK_BYTES)]
    what = f"reading {metainfo.name} again"
    size, piece_length = metainfo.size, metainfo.piece_length
    with ContentHasher(size, piece_length, algo=algo, version=metainfo.version) as hasher:
        with translated(what):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        offset = 0
        while offset < size:
            if stop.is_set():
                raise Stopped
            buffer = buffers[0]
            with translated(what):
                count = os.preadv(fd, [buffer], offset)
            if count == 0:
                raise StorageFailed(f"{what}: it ends after {offset} bytes")
            count = min(count, size - offset)
            hasher.update(memoryview(buffer)[:count])
            offset += count
            buffers.reverse()
        return hasher.finish()


def is_whole(fd: int, metainfo: Metainfo, stop: threading.Event) -> bool:
    """Tell whether the file at ``fd`` is exactly the variant of ``metainfo``; blocks."""
    if os.fstat(fd).st_size != metainfo.size:
        return False
    return metainfo.is_of(hash_file(fd, metainfo, stop))


def check_hash(fd: int, metainfo: Metainfo, algo: str, value: str, stop: threading.Event) -> None:
    """Raise :class:`~swarm.errors.ImageCorrupt` unless the file's hash is ``value``; blocks."""
    found = hash_file(fd, metainfo, stop, algo=algo).hash_value
    if found != value:
        raise ImageCorrupt(
            f"{metainfo.name}: the file on the disk has {algo} {found}, and not {value}"
        )
