"""Resume data: a bit for each piece."""

from __future__ import annotations

import pytest

from swarm import bencode
from swarm.engine import resume


@pytest.mark.parametrize("count", [1, 7, 8, 9, 4096])
def test_what_is_packed_is_unpacked(count: int) -> None:
    """Whatever the number of pieces."""
    pieces = [index % 3 == 0 for index in range(count)]
    assert resume.unpack(resume.pack(pieces), count) == pieces


@pytest.mark.parametrize(
    "change",
    [{b"boot": b"another"}, {b"pieces": 9}, {b"bitmap": b"\xff"}, {b"bitmap": 3}, {b"boot": 1}],
)
def test_what_does_not_fit_is_not_believed(change: dict[bytes, object]) -> None:
    """Another boot, another torrent, a short bitmap."""
    record = bencode.decode(resume.pack([True] * 10))
    assert isinstance(record, dict)
    assert resume.unpack(bencode.encode({**record, **change}), 10) is None
