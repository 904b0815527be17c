"""The piece hashes of a v1 torrent (BEP 3): the SHA-1 of each piece, the last one unpadded."""

from __future__ import annotations

import hashlib

SHA1_BYTES = 20


class PieceHashes:
    """Feed it the bytes in order, in chunks of any length; memory: 20 bytes for each piece."""

    def __init__(self, piece_length: int) -> None:
        self._piece_length = piece_length
        self._pieces = bytearray()
        self._begin()

    def _begin(self) -> None:
        # The format asks for SHA-1; where security counts there is v2.
        self._piece = hashlib.sha1(usedforsecurity=False)
        self._missing = self._piece_length

    def update(self, view: memoryview) -> None:
        """Take the next bytes."""
        while view:
            part = view[: self._missing]
            self._piece.update(part)
            self._missing -= len(part)
            if not self._missing:
                self._pieces += self._piece.digest()
                self._begin()
            view = view[len(part) :]

    def finish(self) -> bytes:
        """Return the 20-byte hashes of all pieces, concatenated."""
        if self._missing < self._piece_length:
            self._pieces += self._piece.digest()
        return bytes(self._pieces)
