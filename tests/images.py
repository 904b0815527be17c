"""Image files for tests: reproducible bytes, and the torrent of them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from swarm import metainfo
from swarm.hashing import ContentHasher
from swarm.messages import Variant
from swarm.torrent_version import TorrentVersion

if TYPE_CHECKING:
    from pathlib import Path

IMAGE_ID = "6f1d9d2e-5c1a-4c53-9d1e-0a4b3b6f8c11"
_CHUNK = 1 << 20


def write_random(path: Path, size: int, *, seed: int = 1) -> Path:
    """Write ``size`` reproducible random bytes to ``path``."""
    source = random.Random(seed)
    with path.open("wb") as file:
        for start in range(0, size, _CHUNK):
            file.write(source.randbytes(min(_CHUNK, size - start)))
    return path


def torrent_of(
    path: Path,
    *,
    image_id: str = IMAGE_ID,
    variant: Variant = Variant.ORIGINAL,
    version: TorrentVersion = TorrentVersion.V2,
) -> metainfo.Metainfo:
    """Return the torrent of the file at ``path``."""
    size = path.stat().st_size
    hasher = ContentHasher(size, metainfo.piece_length(size), version=version)
    with hasher, path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
        return metainfo.build(image_id, variant, hasher.finish())
