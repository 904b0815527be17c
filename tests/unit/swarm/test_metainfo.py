"""Torrents are what libtorrent itself would make of the same bytes."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import libtorrent as lt
import pytest

from swarm import bencode, metainfo
from swarm.errors import MetainfoError
from swarm.hashing import ContentHasher
from swarm.merkle import BLOCK_BYTES
from swarm.messages import Variant
from swarm.torrent_version import TorrentVersion

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = "6f1d9d2e-5c1a-4c53-9d1e-0a4b3b6f8c11"
PIECE = 64 << 10
BOUNDARIES = [BLOCK_BYTES, 2 * BLOCK_BYTES, PIECE, 2 * PIECE, 3 * PIECE, 4 * PIECE, 5 * PIECE]
SIZES = sorted({1, *(edge + step for edge in BOUNDARIES for step in (-1, 0, 1))})


V1, V2, HYBRID = TorrentVersion.V1, TorrentVersion.V2, TorrentVersion.HYBRID
LIBTORRENTS = {V1: lt.create_torrent.v1_only, V2: lt.create_torrent.v2_only, HYBRID: 0}


def build(
    data: bytes, piece_length: int = PIECE, version: TorrentVersion = V2
) -> metainfo.Metainfo:
    """Return our torrent of ``data``."""
    with ContentHasher(len(data), piece_length, version=version) as hasher:
        hasher.update(data)
        return metainfo.build(IMAGE, Variant.ORIGINAL, hasher.finish())


def by_libtorrent(
    data: bytes, directory: Path, piece_length: int, version: TorrentVersion
) -> dict[bytes, Any]:
    """Return the torrent that libtorrent makes of the same bytes."""
    name = f"{IMAGE}.original"
    (directory / name).write_bytes(data)
    creator = lt.create_torrent(
        [lt.create_file_entry(name, len(data))], piece_length, LIBTORRENTS[version]
    )
    creator.set_priv(True)
    lt.set_piece_hashes(creator, str(directory))
    return dict(creator.generate())


@pytest.mark.parametrize("version", TorrentVersion)
@pytest.mark.parametrize("piece_length", [BLOCK_BYTES, PIECE])
@pytest.mark.parametrize("size", SIZES)
def test_our_torrent_is_libtorrents(
    tmp_path: Path, size: int, piece_length: int, version: TorrentVersion
) -> None:
    """The info dict and the piece layers are byte-identical around every boundary."""
    data = random.Random(size).randbytes(size)
    made = build(data, piece_length, version)
    ours = bencode.decode(made.data)
    theirs = by_libtorrent(data, tmp_path, piece_length, version)
    assert isinstance(ours, dict)
    assert bencode.encode(ours[b"info"]) == lt.bencode(theirs[b"info"])
    assert ours.get(b"piece layers", {}) == theirs.get(b"piece layers", {})
    assert made.version is version


@pytest.mark.parametrize("version", TorrentVersion)
@pytest.mark.parametrize("size", [1, PIECE, PIECE + 1, 5 * PIECE])
def test_libtorrent_agrees_on_the_info_hashes(size: int, version: TorrentVersion) -> None:
    """The info-hashes are those of the torrent as libtorrent loads it, and no others."""
    made = build(bytes(size), version=version)
    loaded = lt.load_torrent_buffer(made.data)
    assert loaded.ti is not None
    found = loaded.ti.info_hashes()
    assert (made.info_hashes.v1 is None, made.info_hashes.v2 is None) == (
        not found.has_v1(),
        not found.has_v2(),
    )
    assert made.info_hashes.v1 in {None, found.v1.to_bytes()}
    assert made.info_hashes.v2 in {None, found.v2.to_bytes()}
    assert loaded.ti.priv()
    assert loaded.ti.num_pieces() == made.piece_count


@pytest.mark.parametrize("version", TorrentVersion)
def test_what_names_a_torrent_and_what_is_announced(version: TorrentVersion) -> None:
    """v2 names it wherever there is v2; a hybrid is announced by both hashes, 20 bytes each."""
    made = build(bytes(PIECE), version=version)
    hashes = made.info_hashes
    expected = {
        V1: (hashes.v1, [hashes.v1]),
        V2: (hashes.v2, [(hashes.v2 or b"")[:20]]),
        HYBRID: (hashes.v2, [hashes.v1, (hashes.v2 or b"")[:20]]),
    }
    assert (made.info_hash, list(made.announce_hashes)) == expected[version]
    assert made.announce_hash in made.announce_hashes
    assert {len(value) for value in made.announce_hashes} == {20}


def test_the_versions_are_three_torrents() -> None:
    """No version of the same bytes has a hash of another one."""
    hashes = [
        hash_
        for version in TorrentVersion
        for hash_ in build(b"x", version=version).announce_hashes
    ]
    assert len(set(hashes)) == 4


@pytest.mark.parametrize("version", TorrentVersion)
def test_a_torrent_knows_its_own_bytes(version: TorrentVersion) -> None:
    """is_of() tells a byte that changed, whatever the version."""
    good = build(bytes(3 * PIECE), version=version)
    for data, is_it in ((bytes(3 * PIECE), True), (bytes(3 * PIECE - 1) + b"x", False)):
        with ContentHasher(len(data), PIECE, version=version) as hasher:
            hasher.update(data)
            assert good.is_of(hasher.finish()) is is_it


@pytest.mark.parametrize("version", TorrentVersion)
def test_parse_reads_what_build_made(version: TorrentVersion) -> None:
    """All that a role needs comes back out of the bytes."""
    made = build(bytes(3 * PIECE + 1), version=version)
    assert metainfo.parse(made.data) == made
    assert made.name == (IMAGE, Variant.ORIGINAL)
    assert (made.size, made.piece_length, made.piece_count) == (3 * PIECE + 1, PIECE, 4)


@pytest.mark.parametrize(
    ("size", "length"),
    [
        (1, 64 << 10),
        (256 << 20, 64 << 10),
        ((256 << 20) + 1, 128 << 10),
        (4 << 30, 1 << 20),
        (100 << 30, 8 << 20),
        (10 << 40, 8 << 20),
    ],
)
def test_the_piece_length_rule(size: int, length: int) -> None:
    """At most 4096 pieces, between 64 KiB and 8 MiB."""
    assert metainfo.piece_length(size) == length


def changed(path: str, value: object, version: TorrentVersion = V2) -> bytes:
    """Return a good torrent with one thing changed: ``info/private``, ``piece layers`` ..."""
    torrent: Any = bencode.decode(build(bytes(2 * PIECE), version=version).data)
    *parents, last = path.encode().split(b"/")
    place = torrent
    for parent in parents:
        place = place[parent]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return bencode.encode(torrent)


FILE = f"{IMAGE}.original"
REFUSED = {
    "not a dictionary": b"i1e",
    "no info": changed("info", None),
    "not private": changed("info/private", 0),
    "privacy not said": changed("info/private", None),
    "another meta version": changed("info/meta version", 1),
    "v1 pieces without a length": changed("info/pieces", bytes(40)),
    "a v1 length without pieces": changed("info/length", 2 * PIECE),
    "v1: not private": changed("info/private", 0, V1),
    "v1: a name that is a path": changed("info/name", b"../../etc/passwd", V1),
    "v1: no length": changed("info/length", None, V1),
    "v1: length 0": changed("info/length", 0, V1),
    "v1: another length": changed("info/length", 2 * PIECE + 1, V1),
    "v1: many files": changed("info/files", [], V1),
    "v1: a piece too few": changed("info/pieces", bytes(20), V1),
    "v1: half a hash": changed("info/pieces", bytes(39), V1),
    "v1: pieces that are a number": changed("info/pieces", 1, V1),
    "v1: an odd piece length": changed("info/piece length", PIECE + 1, V1),
    "v1: layers too": changed("piece layers", {}, V1),
    "hybrid: two lengths": changed("info/length", 2 * PIECE - 1, HYBRID),
    "hybrid: no v1 length": changed("info/length", None, HYBRID),
    "hybrid: no v1 pieces": changed("info/pieces", None, HYBRID),
    "hybrid: no file tree": changed("info/file tree", None, HYBRID),
    "hybrid: no meta version": changed("info/meta version", None, HYBRID),
    "hybrid: no layers": changed("piece layers", {}, HYBRID),
    "hybrid: a piece too many": changed("info/pieces", bytes(60), HYBRID),
    "a source": changed("info/source", b"x"),
    "an announce URL": changed("announce", b"http://example.org/announce"),
    "a name that is a path": changed("info/name", b"../../etc/passwd"),
    "a name without variant": changed("info/name", IMAGE.encode()),
    "a name that is not text": changed("info/name", b"\xff" * 40),
    "another file name": changed("info/file tree", {"x": {"": {}}}),
    "no file": changed("info/file tree", {}),
    "length 0": changed(f"info/file tree/{FILE}//length", 0),
    "a negative length": changed(f"info/file tree/{FILE}//length", -1),
    "a huge length": changed(f"info/file tree/{FILE}//length", 1 << 60),
    "a length that is text": changed(f"info/file tree/{FILE}//length", b"1"),
    "no root": changed(f"info/file tree/{FILE}//pieces root", None),
    "a short root": changed(f"info/file tree/{FILE}//pieces root", b"x"),
    "piece length 0": changed("info/piece length", 0),
    "an odd piece length": changed("info/piece length", PIECE + 1),
    "no layers": changed("piece layers", {}),
    "layers of another root": changed("piece layers", {bytes(32): bytes(64)}),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_a_torrent_of_another_form_is_refused(data: bytes) -> None:
    """What could surprise libtorrent or a path never reaches them."""
    with pytest.raises(MetainfoError):
        metainfo.parse(data)


@pytest.mark.parametrize("layer", [bytes(64), bytes(63), bytes(96)])
def test_a_layer_that_does_not_fit_its_root_is_refused(layer: bytes) -> None:
    """A changed hash in the piece layer is found before libtorrent sees it."""
    torrent: Any = bencode.decode(build(bytes(2 * PIECE)).data)
    root = next(iter(torrent[b"piece layers"]))
    torrent[b"piece layers"][root] = layer
    with pytest.raises(MetainfoError, match="layer"):
        metainfo.parse(bencode.encode(torrent))
