"""Images for the lab: random bytes, so that nothing on the way can make them smaller."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swarm.hashing import digest_of

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK_BYTES = 4 << 20
_STRETCH_BYTES = 4 << 20
#: Older than what a seeder takes for a file that is still being written.
_SETTLED_SECONDS = 60


@dataclass(frozen=True)
class Image:
    """A file, whose name is a UUID, and its SHA-256."""

    path: Path
    size: int
    sha256: str
    #: Bytes that are not holes.
    data: int

    @property
    def id(self) -> str:
        """The image's id, as a seeder takes it from the name."""
        return self.path.stem


def make(
    directory: Path, size: int, *, data_share: float = 1.0, stretch_bytes: int = _STRETCH_BYTES
) -> Image:
    """Write an image of ``size`` bytes: of each stretch the first share random, the rest a hole."""
    path = directory / f"{uuid.uuid4()}.raw"
    hidden = directory / f".{path.name}"
    digest, data = hashlib.sha256(), 0
    with hidden.open("wb") as file:
        for start in range(0, size, stretch_bytes):
            length = min(stretch_bytes, size - start)
            chunk = os.urandom(int(length * data_share))
            file.seek(start)
            file.write(chunk)
            digest.update(chunk)
            digest.update(bytes(length - len(chunk)))
            data += len(chunk)
        file.truncate(size)
    return _placed(hidden, path, size, digest.hexdigest(), data)


def alter(image: Image, *, share: float) -> Image:
    """Return a new image that differs from ``image`` in one stretch of that share of it."""
    path = image.path.with_name(f"{uuid.uuid4()}.raw")
    hidden = path.with_name(f".{path.name}")
    hidden.write_bytes(image.path.read_bytes())
    changed = int(image.size * share)
    with hidden.open("r+b") as file:
        file.seek((image.size - changed) // 2)
        file.write(os.urandom(changed))
    return _placed(hidden, path, image.size, digest_of(hidden, "sha256"), image.data)


def _placed(hidden: Path, path: Path, size: int, digest: str, data: int) -> Image:
    settled = time.time() - _SETTLED_SECONDS
    os.utime(hidden, (settled, settled))
    hidden.rename(path)
    return Image(path, size, digest, data)
