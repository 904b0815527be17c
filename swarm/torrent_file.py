"""A ``.torrent`` for other BitTorrent clients: our metainfo, and the trackers around it.

Our own nodes know their tracker, so nothing here is for them. The info dict stays as it is, and
with it the info-hash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarm import bencode, metainfo
from swarm.errors import MalformedRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

_SCHEMES = ("http://", "https://", "udp://")


def torrent_file(data: bytes, announce_urls: Sequence[str]) -> bytes:
    """Return the torrent in ``data`` with ``announce_urls``: the first one first (BEP 3, BEP 12).

    Raises what :func:`swarm.metainfo.parse` raises, and
    :class:`~swarm.errors.MalformedRequest` for a URL that no client could announce to.
    """
    metainfo.parse(data)
    torrent = bencode.decode(data)
    assert isinstance(torrent, dict)  # noqa: S101 - it was parsed
    for url in announce_urls:
        if not url.startswith(_SCHEMES):
            raise MalformedRequest(f"announce URL {url!r:.200}: it starts with http, https or udp")
    trackers = {
        b"announce": announce_urls[0].encode(),
        b"announce-list": [[url.encode()] for url in announce_urls],
    }
    return bencode.encode({**torrent, **trackers})
