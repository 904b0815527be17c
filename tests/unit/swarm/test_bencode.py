"""Bencode: one byte string per value."""

from __future__ import annotations

import pytest

from swarm import bencode
from swarm.errors import BencodeError

CANONICAL = [
    b"i0e",
    b"i-7e",
    b"0:",
    b"4:spam",
    b"le",
    b"l4:spami3ee",
    b"de",
    b"d1:a1:x1:bli1eee",
]

REFUSED = {
    "nothing": b"",
    "bytes after the value": b"i1ei2e",
    "unsorted keys": b"d1:bi1e1:ai2ee",
    "a repeated key": b"d1:ai1e1:ai2ee",
    "a leading zero": b"i01e",
    "minus zero": b"i-0e",
    "a space in a number": b"i 1e",
    "a plus sign": b"i+1e",
    "an underscore in a number": b"i1_0e",
    "a short string": b"9:spam",
    "a negative length": b"-1:a",
    "a length with a leading zero": b"04:spam",
    "an unfinished list": b"li1e",
    "a key that is no string": b"di1ei2ee",
    "too deep": b"l" * 200 + b"e" * 200,
}


@pytest.mark.parametrize("data", CANONICAL)
def test_canonical_bytes_survive_a_round_trip(data: bytes) -> None:
    """What is canonical is decoded, and encodes to itself."""
    assert bencode.encode(bencode.decode(data)) == data


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_anything_else_is_refused(data: bytes) -> None:
    """Each second spelling of a value, and each broken one, is our own error."""
    with pytest.raises(BencodeError):
        bencode.decode(data)


@pytest.mark.parametrize("value", [None, 1.5, {1: 2}, {"a": object()}, [b"a", None]])
def test_only_bencode_types_are_encoded(value: object) -> None:
    """A value that bencode has no form for is our own error."""
    with pytest.raises(BencodeError):
        bencode.encode(value)
