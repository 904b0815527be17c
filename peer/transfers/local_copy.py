"""The second transfer of an image on one host: its bytes are here already, so they are copied.

By copy_file_range where the file system has it (a reflink on XFS and btrfs: no byte is moved),
else through memory; holes stay holes. The file that is copied from belongs to whoever booted from
it, and may have changed, so the copy is hashed against the torrent before it counts.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from peer.transfers.verification import Stopped, is_whole
from swarm.disk_errors import translated
from swarm.errors import StorageFailed

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from swarm.metainfo import Metainfo

#: Small enough that a stop is heard soon, large enough to cost nothing.
_CHUNK_BYTES = 16 << 20

#: What the kernel says where it can't copy between these two files.
_NO_COPY_FILE_RANGE = {errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM}


def copy_local(
    source: Path,
    target_fd: int,
    metainfo: Metainfo,
    *,
    stop: threading.Event,
    on_bytes: Callable[[int], None],
) -> bool:
    """Copy the variant at ``source`` into the empty, full-sized file at ``target_fd``; blocks.

    Returns False if ``source`` is not (or no longer) the variant; the target is useless then.
    ``on_bytes`` gets the position reached, from this thread. Raises
    :class:`~swarm.errors.NoSpace` or :class:`~swarm.errors.StorageFailed` for the target's sake.
    """
    try:
        source_fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        found = os.fstat(source_fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size != metainfo.size:
            return False
        with translated(f"copying {source}"):
            _copy(source_fd, target_fd, metainfo.size, stop, on_bytes)
    finally:
        os.close(source_fd)
    return is_whole(target_fd, metainfo, stop)


def _copy(
    source: int, target: int, size: int, stop: threading.Event, on_bytes: Callable[[int], None]
) -> None:
    for start, end in _extents(source, size):
        position = start
        while position < end:
            if stop.is_set():
                raise Stopped
            count = _copy_chunk(source, target, position, min(_CHUNK_BYTES, end - position))
            if count == 0:
                return  # it became shorter; the hash will tell
            position += count
            on_bytes(position)
    on_bytes(size)


def _extents(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of what is not a hole."""
    end = 0
    while end < size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only hole from here
                return
            raise
        end = min(os.lseek(fd, start, os.SEEK_HOLE), size)
        yield start, end


def _copy_chunk(source: int, target: int, position: int, length: int) -> int:
    try:
        return os.copy_file_range(source, target, length, position, position)
    except OSError as error:
        if error.errno not in _NO_COPY_FILE_RANGE:
            raise
    return _copy_through_memory(source, target, position, length)


def _copy_through_memory(source: int, target: int, position: int, length: int) -> int:
    data = memoryview(os.pread(source, min(length, 1 << 20), position))
    written = 0
    while written < len(data):
        count = os.pwrite(target, data[written:], position + written)
        if count == 0:
            raise StorageFailed("the disk takes no more bytes")
        written += count
    return written
