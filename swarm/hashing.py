"""Every hash of an image, in one pass over its bytes.

While the bytes stream by (from Glance, a file, a conversion) this computes what the torrent needs -
the SHA-256 merkle tree of v2 (BEP 52), the SHA-1 of each piece of v1 (BEP 3) - and the hash that
Glance records (``os_hash_value``). Memory: lists of hashes, nothing of the image itself.

The whole-file hash is the slowest part (SHA-512 at a third of SHA-256's speed where the CPU has SHA
extensions), so it runs in a thread of its own beside the others; hashlib releases the GIL for each.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swarm.errors import MetainfoError
from swarm.merkle import BLOCK_BYTES, MerkleTree
from swarm.piece_hashes import PieceHashes
from swarm.torrent_version import TorrentVersion

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

#: Glance's default hash (glance/common/config.py, hashing_algorithm).
DEFAULT_ALGO = "sha512"

_CHUNK_BYTES = 4 << 20


def digest_of(path: Path, algo: str = DEFAULT_ALGO) -> str:
    """Return the hash of a whole file, in hex; it blocks for as long as that takes."""
    digest = hashlib.new(algo)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


@dataclass(frozen=True)
class ContentHashes:
    """What one pass over the bytes of an image variant found out."""

    #: The torrents that can be made of it.
    version: TorrentVersion
    size: int
    piece_length: int
    #: Of the merkle tree; empty for v1.
    pieces_root: bytes
    #: Concatenated 32-byte hashes of the pieces; empty if there is only one (BEP 52), and for v1.
    piece_layer: bytes
    #: Concatenated 20-byte SHA-1 of the pieces; empty for v2.
    pieces: bytes
    hash_algo: str
    hash_value: str


class ContentHasher:
    """Feed it the bytes of an image in order, in chunks of any length.

    ::

        with ContentHasher(size, piece_length(size)) as hasher:
            for chunk in chunks:
                hasher.update(chunk)
            hashes = hasher.finish()

    ``update`` computes: call it in a thread, with chunks of a MiB or more. A chunk is still being
    read after ``update`` returned, until the next call of ``update`` or ``finish`` returns: who
    reads into buffers alternates two of them, and so reads while this hashes. Raises
    :class:`~swarm.errors.MetainfoError` for an unusable size, piece length or algorithm, and in
    ``finish`` if the bytes were not as many as announced.
    """

    def __init__(
        self,
        size: int,
        piece_length: int,
        *,
        algo: str = DEFAULT_ALGO,
        version: TorrentVersion = TorrentVersion.V2,
    ) -> None:
        if size <= 0:
            raise MetainfoError("an image of 0 bytes can't be shared", size=size)
        if piece_length < BLOCK_BYTES or piece_length & (piece_length - 1):
            raise MetainfoError(
                f"piece length {piece_length} is not a power of two of at least {BLOCK_BYTES}",
                piece_length=piece_length,
            )
        try:
            self._whole = hashlib.new(algo)
        except ValueError as error:
            raise MetainfoError(f"hash algorithm {algo!r} is not known here", algo=algo) from error
        self._size = size
        self._piece_length = piece_length
        self._algo = algo
        self._version = version
        self._seen = 0
        self._tree = MerkleTree(piece_length) if version.has_v2 else None
        self._pieces = PieceHashes(piece_length) if version.has_v1 else None
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="whole-hash")
        self._under_way: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._beside.shutdown()

    def update(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take the next bytes of the image."""
        view = memoryview(chunk).cast("B")
        self._seen += len(view)
        if self._seen > self._size:
            raise MetainfoError(
                f"more than the {self._size} bytes that were announced", size=self._size
            )
        self._wait()
        self._under_way = self._beside.submit(self._whole.update, view)
        if self._tree is not None:
            self._tree.update(view)
        if self._pieces is not None:
            self._pieces.update(view)

    def _wait(self) -> None:
        if self._under_way is not None:
            self._under_way.result()

    def finish(self) -> ContentHashes:
        """Return the hashes, once every byte was given."""
        self._wait()
        if self._seen != self._size:
            raise MetainfoError(
                f"{self._seen} bytes instead of the {self._size} that were announced",
                size=self._size,
            )
        root, layer = self._tree.finish() if self._tree is not None else (b"", b"")
        pieces = self._pieces.finish() if self._pieces is not None else b""
        return ContentHashes(
            version=self._version,
            size=self._size,
            piece_length=self._piece_length,
            pieces_root=root,
            piece_layer=layer,
            pieces=pieces,
            hash_algo=self._algo,
            hash_value=self._whole.hexdigest(),
        )
