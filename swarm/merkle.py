"""The SHA-256 merkle tree of a v2 torrent (BEP 52), built while the bytes stream by."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Leaves of the tree are hashes of 16 KiB blocks (BEP 52).
BLOCK_BYTES = 16 << 10
HASH_BYTES = 32


class MerkleTree:
    """Feed it the bytes in order, in chunks of any length; memory: the hashes of the pieces."""

    def __init__(self, piece_length: int) -> None:
        self._piece_length = piece_length
        self._tail = bytearray()  # the start of a block that the last chunk cut
        self._leaves: list[bytes] = []  # of the piece under way
        self._pieces: list[bytes] = []

    def update(self, view: memoryview) -> None:
        """Take the next bytes."""
        if self._tail:
            missing = BLOCK_BYTES - len(self._tail)
            self._tail += view[:missing]
            view = view[missing:]
            if len(self._tail) < BLOCK_BYTES:
                return
            self._add_block(self._tail)
            self._tail = bytearray()
        whole_blocks = len(view) - len(view) % BLOCK_BYTES
        for start in range(0, whole_blocks, BLOCK_BYTES):
            self._add_block(view[start : start + BLOCK_BYTES])
        self._tail += view[whole_blocks:]

    def _add_block(self, block: bytes | bytearray | memoryview) -> None:
        self._leaves.append(hashlib.sha256(block).digest())
        if len(self._leaves) * BLOCK_BYTES == self._piece_length:
            self._pieces.append(merkle_root(self._leaves))
            self._leaves.clear()

    def finish(self) -> tuple[bytes, bytes]:
        """Return the root, and the piece layer: the 32-byte hashes of the pieces, concatenated.

        With one piece only, the tree is as tall as its blocks ask for, and the layer is empty.
        """
        if self._tail:
            self._add_block(self._tail)
        if len(self._pieces) + bool(self._leaves) == 1:
            return (self._pieces or [merkle_root(self._leaves)])[0], b""
        if self._leaves:
            blocks = self._piece_length // BLOCK_BYTES
            self._pieces.append(merkle_root(self._leaves, width=blocks))
        return root_of_layer(self._pieces, self._piece_length), b"".join(self._pieces)


def merkle_root(
    hashes: Iterable[bytes], *, width: int = 1, padding: bytes = bytes(HASH_BYTES)
) -> bytes:
    """Return the root over ``hashes``, filled up with ``padding`` to a power of two >= ``width``.

    BEP 52: missing leaves count as 32 zero bytes.
    """
    level = list(hashes)
    while len(level) > 1 or width > 1:
        if len(level) % 2:
            level.append(padding)
        level = [hashlib.sha256(level[i] + level[i + 1]).digest() for i in range(0, len(level), 2)]
        padding = hashlib.sha256(padding + padding).digest()
        width = (width + 1) // 2
    return level[0]


def root_of_layer(pieces: Iterable[bytes], piece_length: int) -> bytes:
    """Return the root of the tree above a piece layer; a missing piece is one of zero leaves."""
    return merkle_root(pieces, padding=_padding_piece(piece_length))


@lru_cache(maxsize=32)
def _padding_piece(piece_length: int) -> bytes:
    return merkle_root([bytes(HASH_BYTES)], width=piece_length // BLOCK_BYTES)
