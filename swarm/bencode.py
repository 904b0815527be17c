"""Canonical bencode (BEP 3): bencode.py, behind the strictness that it lacks by itself.

bencode.py accepts unsorted and duplicate keys, short strings and numbers such as ``i 1e``; two
byte strings could then mean one value, and an info-hash would no longer name one torrent. So what
is decoded here is encoded again and compared: only the one canonical form passes.
"""

from __future__ import annotations

from typing import TypeAlias

import bencodepy

from swarm.errors import BencodeError

Value: TypeAlias = "int | bytes | list[Value] | dict[bytes, Value]"

#: Far deeper than any message of ours; keeps the decoder's recursion short of Python's limit.
MAX_DEPTH = 32

_CODEC = bencodepy.Bencode()
_DECODER = bencodepy.BencodeDecoder(max_depth=MAX_DEPTH)


def encode(value: object) -> bytes:
    """Return the canonical encoding of ``value``: int, bytes, str (as UTF-8), list, tuple, dict.

    Raises :class:`~swarm.errors.BencodeError` for anything else, and for keys that are not bytes.
    """
    try:
        return bytes(_CODEC.encode(value))
    except (KeyError, TypeError, AttributeError) as error:
        raise BencodeError(f"can't be bencoded: {error}") from error


def decode(data: bytes) -> Value:
    """Return the value of ``data``, which must be in canonical form and nothing more.

    Raises :class:`~swarm.errors.BencodeError`.
    """
    try:
        value: Value = _DECODER.decode(data)
        canonical = encode(value)
    except bencodepy.BencodeDecodeError as error:
        raise BencodeError(f"not bencode: {error}") from error
    if canonical != data:
        raise BencodeError("bencode, but not in its canonical form: keys unsorted or repeated?")
    return value
