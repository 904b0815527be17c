"""A torrent of an image, as every BitTorrent program can read it: v1, private, one file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from swarm import metainfo
from swarm.hashing import ContentHasher
from swarm.messages import Variant
from swarm.torrent_file import torrent_file
from swarm.torrent_version import TorrentVersion

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.lab.image import Image

_CHUNK_BYTES = 4 << 20


@dataclass(frozen=True)
class Torrent:
    """A ``.torrent`` file, and what it says."""

    path: Path
    #: Of the file that it describes.
    name: str
    info_hash: bytes

    @property
    def hex(self) -> str:
        """What programs call it by."""
        return self.info_hash.hex()


def make(image: Image, announce_url: str, directory: Path) -> Torrent:
    """Write the torrent of an image; pieces are as long as ours are.

    Private (BEP 27): peers are found through the tracker alone, as in a closed network.
    """
    length = metainfo.piece_length(image.size)
    with (
        ContentHasher(image.size, length, algo="sha1", version=TorrentVersion.V1) as hasher,
        image.path.open("rb") as file,
    ):
        while chunk := file.read(_CHUNK_BYTES):
            hasher.update(chunk)
        made = metainfo.build(image.id, Variant.RAW, hasher.finish())
    path = directory / f"{image.id}.torrent"
    path.write_bytes(torrent_file(made.data, [announce_url]))
    return Torrent(path, str(made.name), made.info_hash)
