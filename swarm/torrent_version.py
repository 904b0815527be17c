"""Versions of the BitTorrent format that a torrent of ours can have, and the hashes that name it.

v2 (BEP 52) is what this project is made for: with it a bad block is blamed on the one who sent it
(a v1 swarm can ban a good peer), and each piece hash is a SHA-256. v1 (BEP 3) and hybrid (both at
once, in one info dict) are for clients that know nothing newer; they cost SHA-1 over every byte.
"""

from __future__ import annotations

import enum
import hashlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

#: What a client announces, of either version (BEP 52 truncates the longer hash).
ANNOUNCE_HASH_BYTES = 20

_COMMON_KEYS = frozenset({b"name", b"piece length", b"private"})
_V1_KEYS = frozenset({b"length", b"pieces"})
_V2_KEYS = frozenset({b"file tree", b"meta version"})


class TorrentVersion(str, enum.Enum):
    """Which clients can read a torrent."""

    V1 = "v1"
    V2 = "v2"
    HYBRID = "hybrid"

    @property
    def has_v1(self) -> bool:
        """Whether a v1 client can read it."""
        return self is not TorrentVersion.V2

    @property
    def has_v2(self) -> bool:
        """Whether a v2 client can read it."""
        return self is not TorrentVersion.V1

    @property
    def info_keys(self) -> frozenset[bytes]:
        """The keys of an info dict with one file: exactly these."""
        v1 = _V1_KEYS if self.has_v1 else frozenset()
        v2 = _V2_KEYS if self.has_v2 else frozenset()
        return _COMMON_KEYS | v1 | v2

    @classmethod
    def of(cls, info_keys: AbstractSet[bytes]) -> TorrentVersion:
        """Return the version that an info dict with such keys claims to have."""
        if b"pieces" not in info_keys:
            return cls.V2
        return cls.HYBRID if b"meta version" in info_keys else cls.V1


class InfoHashes(NamedTuple):
    """The hashes of one info dict; at least one is there."""

    #: SHA-1 (BEP 3).
    v1: bytes | None
    #: SHA-256 (BEP 52).
    v2: bytes | None

    @classmethod
    def of(cls, info: bytes, version: TorrentVersion) -> InfoHashes:
        """Return the hashes of a bencoded info dict."""
        return cls(
            # The format asks for SHA-1; where security counts there is v2.
            hashlib.sha1(info, usedforsecurity=False).digest() if version.has_v1 else None,
            hashlib.sha256(info).digest() if version.has_v2 else None,
        )

    @property
    def name(self) -> bytes:
        """The one that names the torrent: 32 bytes, or 20 if it is v1 only."""
        found = self.v2 or self.v1
        assert found is not None  # noqa: S101 - every version has one of them
        return found

    @property
    def announced(self) -> tuple[bytes, ...]:
        """What its clients announce, 20 bytes each: of a hybrid both."""
        both = (self.v1, self.v2)
        return tuple(value[:ANNOUNCE_HASH_BYTES] for value in both if value is not None)
