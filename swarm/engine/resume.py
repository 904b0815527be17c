"""Resume data: which pieces the file has, and the boot in which that was true.

After a crash of the process the claims hold: what they name was handed to the kernel. After a crash
of the host they may not, because the page cache is lost; so they are used only in the boot that
wrote them, and otherwise the file is hashed anew.

They are ours and not libtorrent's, which for a v2 torrent carry the hash of every 16 KiB block:
8 MB for a 4 GiB image, several times over in memory, at every save. These are a bit for each piece.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from swarm import bencode
from swarm.errors import BencodeError


@cache
def boot_id() -> bytes:
    """Return what the kernel calls this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()


def pack(pieces: list[bool]) -> bytes:
    """Return the blob that :func:`unpack` reads; ``pieces`` says of each whether it is there."""
    bitmap = bytearray(-(-len(pieces) // 8))
    for index, is_there in enumerate(pieces):
        bitmap[index >> 3] |= is_there << (index & 7)
    return bencode.encode({"boot": boot_id(), "bitmap": bytes(bitmap), "pieces": len(pieces)})


def unpack(blob: bytes, piece_count: int) -> list[bool] | None:
    """Return which pieces ``blob`` claims; None if it can't be trusted in this boot."""
    try:
        record = bencode.decode(blob)
    except BencodeError:
        return None
    if not isinstance(record, dict) or record.get(b"boot") != boot_id():
        return None
    bitmap = record.get(b"bitmap")
    if record.get(b"pieces") != piece_count or not isinstance(bitmap, bytes):
        return None
    if len(bitmap) != -(-piece_count // 8):
        return None
    return [bool(bitmap[index >> 3] >> (index & 7) & 1) for index in range(piece_count)]
