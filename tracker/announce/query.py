"""What a client says and what it is answered, whatever the protocol: plain values."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tracker.swarms.store import Counts


class Event(enum.Enum):
    """Why a client announces."""

    NONE = b""
    STARTED = b"started"
    STOPPED = b"stopped"
    COMPLETED = b"completed"
    #: It wants no more of the torrent, complete or not (BEP 21); libtorrent sends it.
    PAUSED = b"paused"


class AnnounceQuery(NamedTuple):
    """What a client says of itself and asks for."""

    #: SHA-1 info-hash, or the first 20 bytes of a v2 one (BEP 52).
    info_hash: bytes
    peer_id: bytes
    port: int
    #: Bytes, as the client counts them.
    uploaded: int
    downloaded: int
    left: int
    event: Event = Event.NONE
    #: How many peers it would like; None leaves it to the tracker.
    numwant: int | None = None


class AnnounceReply(NamedTuple):
    """What the tracker answers to an announce."""

    interval_seconds: int
    min_interval_seconds: int
    counts: Counts
    #: Compact endpoints (BEP 7, 23), all of the asker's own family.
    peers: bytes
    #: The asker's address as the tracker sees it (BEP 24): 4 or 16 bytes.
    external_ip: bytes
