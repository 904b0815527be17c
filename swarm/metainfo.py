"""Torrents of image variants: private (BEP 27), one file, deterministic; v2 unless asked otherwise.

A torrent is a pure function of its variant and its version: the name is the image id and the
variant, the piece length follows from the size, and nothing else is in the info dict. So every
seeder that converts an image arrives at the same info-hash, and their swarms are one.

What the versions are, and which one is for whom: ``swarm/torrent_version.py``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from swarm import bencode
from swarm.errors import MetainfoError
from swarm.merkle import BLOCK_BYTES, HASH_BYTES, root_of_layer
from swarm.messages import IMAGE_ID_PATTERN, Variant
from swarm.piece_hashes import SHA1_BYTES
from swarm.torrent_version import ANNOUNCE_HASH_BYTES, InfoHashes, TorrentVersion

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from swarm.hashing import ContentHashes

_SMALLEST_PIECE = 64 << 10
_LARGEST_PIECE = 8 << 20
_MOST_PIECES = 4096

_NAME = re.compile(rf"({IMAGE_ID_PATTERN})\.(original|raw)")


def piece_length(size: int) -> int:
    """Return the piece length in bytes for an image of ``size`` bytes: a power of two.

    A piece can be passed on only once it is whole, so small pieces spread sooner; each piece costs
    a hash and a HAVE to every neighbour. 4096 pieces, of 64 KiB to 8 MiB, satisfies both: in a lab
    of 8 hosts pieces of 64 to 512 KiB made no difference, pieces of 1 MiB cost a tenth.
    """
    length = _SMALLEST_PIECE
    while length * _MOST_PIECES < size and length < _LARGEST_PIECE:
        length *= 2
    return length


class TorrentName(NamedTuple):
    """What the ``name`` of a torrent says."""

    image_id: str
    variant: Variant

    def __str__(self) -> str:
        return f"{self.image_id}.{self.variant.value}"


@dataclass(frozen=True)
class Metainfo:
    """A torrent of ours, known to be well-formed; :func:`build` and :func:`parse` make them."""

    #: The whole torrent, bencoded: what goes to libtorrent and over the wire.
    data: bytes
    version: TorrentVersion
    name: TorrentName
    size: int
    piece_length: int
    #: Of the merkle tree; empty for v1.
    pieces_root: bytes
    #: Concatenated SHA-1 of the pieces; empty for v2.
    pieces: bytes
    info_hashes: InfoHashes

    @property
    def info_hash(self) -> bytes:
        """The one that names it: SHA-256 of the info dict (32 bytes), for v1 its SHA-1 (20)."""
        return self.info_hashes.name

    @property
    def announce_hash(self) -> bytes:
        """The 20 bytes that our own nodes know its swarm by."""
        return self.info_hash[:ANNOUNCE_HASH_BYTES]

    @property
    def announce_hashes(self) -> tuple[bytes, ...]:
        """All that clients announce, 20 bytes each: for a hybrid two."""
        return self.info_hashes.announced

    @property
    def piece_count(self) -> int:
        """Number of pieces."""
        return -(-self.size // self.piece_length)

    def is_of(self, hashes: ContentHashes) -> bool:
        """Tell whether bytes with ``hashes`` (found for this version) are its content."""
        return (self.size, self.pieces_root, self.pieces) == (
            hashes.size,
            hashes.pieces_root,
            hashes.pieces,
        )


def build(image_id: str, variant: Variant, hashes: ContentHashes) -> Metainfo:
    """Return the torrent of a variant whose bytes have ``hashes``, in the version they are for."""
    name = str(TorrentName(image_id, variant))
    info: dict[str, object] = {"name": name, "piece length": hashes.piece_length, "private": 1}
    torrent: dict[str, object] = {"info": info}
    if hashes.version.has_v1:
        info |= {"length": hashes.size, "pieces": hashes.pieces}
    if hashes.version.has_v2:
        leaf = {"length": hashes.size, "pieces root": hashes.pieces_root}
        info |= {"file tree": {name: {"": leaf}}, "meta version": 2}
        layers = {hashes.pieces_root: hashes.piece_layer} if hashes.piece_layer else {}
        torrent["piece layers"] = layers
    return parse(bencode.encode(torrent))


def parse(data: bytes) -> Metainfo:
    """Return the torrent in ``data``, after checking all that this project relies on.

    Raises :class:`~swarm.errors.BencodeError` for bytes that are not canonical bencode, and
    :class:`~swarm.errors.MetainfoError` for a torrent that is not exactly of our form: private, one
    file under its own name, v1, v2 or both saying the same, every piece hash present, and the piece
    layer matching its root.
    """
    torrent = _dictionary(bencode.decode(data), "the torrent")
    info = _dictionary(torrent.get(b"info", {}), "info")
    version = TorrentVersion.of(info.keys())
    _expect_keys(torrent, {b"info"} | ({b"piece layers"} if version.has_v2 else set()), "torrent")
    _expect_keys(info, version.info_keys, "info")
    if info[b"private"] != 1:
        raise MetainfoError("the torrent is not a private one")
    name = _name(info[b"name"])
    length = _piece_length(info[b"piece length"])
    size, root = _v2_file(torrent, info, name, length) if version.has_v2 else (0, b"")
    v1_size, pieces = _v1_file(info, length) if version.has_v1 else (0, b"")
    if version.has_v1 and version.has_v2 and size != v1_size:
        raise MetainfoError("the file has two lengths, one for v1 and one for v2")
    hashes = InfoHashes.of(bencode.encode(info), version)
    return Metainfo(data, version, name, size or v1_size, length, root, pieces, hashes)


def _v1_file(info: dict[bytes, bencode.Value], piece_length: int) -> tuple[int, bytes]:
    size, pieces = _size(info[b"length"]), info[b"pieces"]
    count = -(-size // piece_length)
    if not isinstance(pieces, bytes) or len(pieces) != count * SHA1_BYTES:
        raise MetainfoError(f"pieces is not {count} hashes long")
    return size, pieces


def _v2_file(
    torrent: dict[bytes, bencode.Value],
    info: dict[bytes, bencode.Value],
    name: TorrentName,
    piece_length: int,
) -> tuple[int, bytes]:
    if info[b"meta version"] != 2:  # noqa: PLR2004
        raise MetainfoError("the meta version is not 2")
    size, root = _file(info[b"file tree"], str(name))
    layers = _dictionary(torrent[b"piece layers"], "piece layers")
    _check_layer(layers, size, piece_length, root)
    return size, root


def _dictionary(value: bencode.Value, what: str) -> dict[bytes, bencode.Value]:
    if not isinstance(value, dict):
        raise MetainfoError(f"{what} is not a dictionary")
    return value


def _expect_keys(value: dict[bytes, bencode.Value], keys: AbstractSet[bytes], what: str) -> None:
    if value.keys() != keys:
        odd = min(value.keys() ^ keys).decode("ascii", "replace")
        raise MetainfoError(f"{what}: {odd[:40]!r} is missing or should not be there")


def _name(value: bencode.Value) -> TorrentName:
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else ""
    match = _NAME.fullmatch(text)
    if match is None:
        raise MetainfoError(f"the name {text[:80]!r} is not <image id>.<variant>")
    return TorrentName(match[1], Variant(match[2]))


def _file(tree: bencode.Value, name: str) -> tuple[int, bytes]:
    files = _dictionary(tree, "file tree")
    _expect_keys(files, {name.encode()}, "file tree")
    entry = _dictionary(files[name.encode()], "the file")
    _expect_keys(entry, {b""}, "the file")
    leaf = _dictionary(entry[b""], "the file")
    _expect_keys(leaf, {b"length", b"pieces root"}, "the file")
    size, root = _size(leaf[b"length"]), leaf[b"pieces root"]
    if not isinstance(root, bytes) or len(root) != HASH_BYTES:
        raise MetainfoError("the pieces root is not a SHA-256")
    return size, root


def _size(value: bencode.Value) -> int:
    # libtorrent's own limit for one file is 2**48 - 1 bytes (file_storage::max_file_size).
    if not isinstance(value, int) or not 0 < value < 1 << 48:
        raise MetainfoError(f"the file's length {value!r:.40} is not usable")
    return value


def _piece_length(value: bencode.Value) -> int:
    if not isinstance(value, int) or not BLOCK_BYTES <= value <= 128 << 20 or value & (value - 1):
        raise MetainfoError(f"the piece length {value!r:.40} is not usable")
    return value


def _check_layer(layers: dict[bytes, bencode.Value], size: int, length: int, root: bytes) -> None:
    if size <= length:
        _expect_keys(layers, set(), "piece layers")
        return
    _expect_keys(layers, {root}, "piece layers")
    layer = layers[root]
    count = -(-size // length)
    if not isinstance(layer, bytes) or len(layer) != count * HASH_BYTES:
        raise MetainfoError(f"the piece layer is not {count} hashes long")
    hashes = [layer[i : i + HASH_BYTES] for i in range(0, len(layer), HASH_BYTES)]
    if root_of_layer(hashes, length) != root:
        raise MetainfoError("the piece layer does not have the root that the file names")
