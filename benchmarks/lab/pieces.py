"""Which pieces of an image lie whole at a host, seen in its files: nobody is asked about itself.

A part file is all hole in the beginning, and random bytes leave none behind. What a program still
has in memory is not seen: a piece is seen when it is in the file, which is never too early. How
late it is depends on what the program may keep: see :data:`WRITES_SOON`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from swarm.metainfo import piece_length

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.lab.image import Image


#: Configuration of an agent that has at most 1 MiB waiting for the disk, the least that can be set;
#: by default it is 8 MiB, and nothing was seen before 7 MiB had arrived.
WRITES_SOON = "[engine]\ndisk_queue_bytes = 1048576"


def pieces_of(image: Image) -> set[int]:
    """Return the numbers of all pieces of an image."""
    return set(range(-(-image.size // piece_length(image.size))))


def whole_pieces(image: Image, directory: Path) -> set[int]:
    """Return the numbers of those that are whole in the image's file, or part file, there."""
    found: set[int] = set()
    for path in directory.glob(f"{image.path.name}*"):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # it has got its name meanwhile
            continue
        try:
            found.update(_whole(descriptor, image.size))
        finally:
            os.close(descriptor)
    return found


def _whole(descriptor: int, size: int) -> Iterator[int]:
    length = piece_length(size)
    for start, end in _extents(descriptor, size):
        first = -(-start // length)
        # The last piece may be a short one.
        yield from range(first, -(-size // length) if end == size else end // length)


def _extents(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of what is not a hole."""
    end = 0
    while end < min(size, os.fstat(descriptor).st_size):
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError:  # only hole from here
            return
        end = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
        yield start, end
