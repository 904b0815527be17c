"""One pass over the bytes finds every hash, whatever the chunks."""

from __future__ import annotations

import hashlib
import random

import pytest

from swarm.errors import MetainfoError
from swarm.hashing import ContentHasher, ContentHashes
from swarm.merkle import BLOCK_BYTES
from swarm.torrent_version import TorrentVersion

PIECE = 4 * BLOCK_BYTES
VERSIONS = (TorrentVersion.V1, TorrentVersion.V2, TorrentVersion.HYBRID)
DATA = random.Random(7).randbytes(3 * PIECE + 5000)


def hashes_of(
    data: bytes, chunk: int, size: int = 0, version: TorrentVersion = TorrentVersion.V2
) -> ContentHashes:
    """Return the hashes of ``data`` fed in chunks of ``chunk`` bytes, announced as ``size``."""
    with ContentHasher(size or len(data), PIECE, version=version) as hasher:
        for start in range(0, len(data), chunk):
            hasher.update(data[start : start + chunk])
        return hasher.finish()


@pytest.mark.parametrize("version", TorrentVersion)
@pytest.mark.parametrize("chunk", [1000, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, len(DATA)])
def test_the_chunks_do_not_matter(chunk: int, version: TorrentVersion) -> None:
    """Blocks and pieces that a chunk boundary cuts are put together again."""
    assert hashes_of(DATA, chunk, version=version) == hashes_of(DATA, PIECE, version=version)


def test_only_what_the_version_needs_is_computed() -> None:
    """No SHA-1 for v2, no merkle tree for v1, and a hybrid has what both have."""
    v1, v2, hybrid = (hashes_of(DATA, PIECE, version=version) for version in VERSIONS)
    assert (v1.pieces_root, v1.piece_layer, v2.pieces) == (b"", b"", b"")
    assert hybrid.pieces == v1.pieces != b""
    assert (hybrid.pieces_root, hybrid.piece_layer) == (v2.pieces_root, v2.piece_layer)
    assert v1.hash_value == v2.hash_value == hybrid.hash_value


def test_v1_pieces_are_plain_sha1() -> None:
    """BEP 3: of each piece, the last one without padding."""
    pieces = [DATA[start : start + PIECE] for start in range(0, len(DATA), PIECE)]
    expected = b"".join(hashlib.sha1(p, usedforsecurity=False).digest() for p in pieces)
    assert hashes_of(DATA, 777, version=TorrentVersion.V1).pieces == expected


def test_the_whole_file_hash_is_the_plain_one() -> None:
    """What is compared with Glance's os_hash_value is the SHA-512 of all bytes."""
    assert hashes_of(DATA, 7777).hash_value == hashlib.sha512(DATA).hexdigest()


def test_reading_into_two_alternating_buffers_is_safe() -> None:
    """A buffer may be filled again once the other one was given."""
    buffers = [bytearray(10_000), bytearray(10_000)]
    with ContentHasher(len(DATA), PIECE) as hasher:
        for number, start in enumerate(range(0, len(DATA), 10_000)):
            chunk = DATA[start : start + 10_000]
            buffer = buffers[number % 2]
            buffer[: len(chunk)] = chunk
            hasher.update(memoryview(buffer)[: len(chunk)])
        assert hasher.finish() == hashes_of(DATA, PIECE)


def test_zero_bytes_are_refused() -> None:
    """Nothing can't be shared."""
    with pytest.raises(MetainfoError, match="0 bytes"):
        ContentHasher(0, PIECE)


@pytest.mark.parametrize("length", [0, 8192, 3 * BLOCK_BYTES, -PIECE])
def test_piece_lengths_of_v2_are_powers_of_two(length: int) -> None:
    """BEP 52: a power of two of at least 16 KiB."""
    with pytest.raises(MetainfoError, match="power of two"):
        ContentHasher(1, length)


def test_an_unknown_algorithm_is_refused() -> None:
    """Glance may be configured for a hash that this Python lacks."""
    with pytest.raises(MetainfoError, match="md99"):
        ContentHasher(1, PIECE, algo="md99")


@pytest.mark.parametrize("size", [9_999, 10_001])
def test_the_size_must_be_as_announced(size: int) -> None:
    """Too few and too many bytes are both found."""
    with pytest.raises(MetainfoError, match="announced"):
        hashes_of(bytes(10_000), 1000, size=size)
