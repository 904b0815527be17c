"""Whatever bytes come, only our own errors come out, and libtorrent agrees on what is accepted."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import libtorrent as lt
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm import bencode, metainfo
from swarm.errors import BencodeError, MetainfoError
from swarm.hashing import ContentHasher
from swarm.merkle import BLOCK_BYTES
from swarm.messages import Variant
from swarm.torrent_version import TorrentVersion

IMAGE = "6f1d9d2e-5c1a-4c53-9d1e-0a4b3b6f8c11"

values = st.recursive(
    st.integers() | st.binary(max_size=64),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.binary(max_size=8), inner),
    max_leaves=20,
)
shapeless = st.binary(max_size=200)
bencode_like = st.text(alphabet="dlei0123456789:-abx ", max_size=60).map(str.encode)


@given(values)
def test_what_is_encoded_is_decoded(value: Any) -> None:  # noqa: ANN401 - any bencode value
    """decode(encode(x)) == x."""
    assert bencode.decode(bencode.encode(value)) == value


@given(shapeless | bencode_like)
def test_decode_gives_one_spelling_or_our_error(data: bytes) -> None:
    """What decode accepts, encode gives back byte by byte."""
    with contextlib.suppress(BencodeError):
        assert bencode.encode(bencode.decode(data)) == data


@given(shapeless | bencode_like | values.map(bencode.encode))
def test_parse_raises_only_our_errors(data: bytes) -> None:
    """No bytes lead to a KeyError or a traceback."""
    with contextlib.suppress(BencodeError, MetainfoError):
        metainfo.parse(data)


@settings(deadline=None, max_examples=60)
@given(
    size=st.integers(1, 40 * BLOCK_BYTES),
    piece_length=st.sampled_from([BLOCK_BYTES, 2 * BLOCK_BYTES, 4 * BLOCK_BYTES]),
    variant=st.sampled_from(Variant),
    version=st.sampled_from(TorrentVersion),
)
def test_libtorrent_agrees_on_every_size(
    size: int, piece_length: int, variant: Variant, version: TorrentVersion
) -> None:
    """Libtorrent loads what we build, with our info-hash."""
    with ContentHasher(size, piece_length, version=version) as hasher:
        hasher.update(random.Random(size).randbytes(size))
        made = metainfo.build(IMAGE, variant, hasher.finish())
    loaded = lt.load_torrent_buffer(made.data)
    assert loaded.ti is not None
    assert made.info_hash == info_hash(loaded.ti)
    # total_size() counts the padding of the last piece too.
    assert loaded.ti.size_on_disk() == size


@settings(deadline=None)
@given(
    position=st.integers(0, 10_000),
    byte=st.integers(0, 255),
    version=st.sampled_from(TorrentVersion),
)
def test_a_damaged_torrent_is_refused_or_harmless(
    position: int, byte: int, version: TorrentVersion
) -> None:
    """One changed byte: refused by us, or still a torrent that libtorrent takes as we read it."""
    with ContentHasher(5 * BLOCK_BYTES, BLOCK_BYTES, version=version) as hasher:
        hasher.update(bytes(5 * BLOCK_BYTES))
        data = bytearray(metainfo.build(IMAGE, Variant.RAW, hasher.finish()).data)
    data[position % len(data)] = byte
    try:
        accepted = metainfo.parse(bytes(data))
    except (BencodeError, MetainfoError):
        return
    loaded = lt.load_torrent_buffer(bytes(data))
    assert loaded.ti is not None
    assert accepted.info_hash == info_hash(loaded.ti)


def info_hash(loaded: lt.torrent_info) -> bytes:
    """Return the info-hash that names a torrent, as libtorrent sees it."""
    hashes = loaded.info_hashes()
    return bytes(hashes.v2.to_bytes() if hashes.has_v2() else hashes.v1.to_bytes())
