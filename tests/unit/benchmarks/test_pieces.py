"""Which pieces lie whole in files that are part hole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.lab.image import make
from benchmarks.lab.pieces import pieces_of, whole_pieces
from swarm.metainfo import piece_length

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.lab.image import Image

#: Nine pieces of 64 KiB, and a short one.
PIECE = 64 << 10
SIZE = 9 * PIECE + 5000


def part(image: Image, directory: Path, *stretches: tuple[int, int]) -> None:
    """Write stretches (first byte, last byte + 1) of the image into a part file of its."""
    data = image.path.read_bytes()
    with (directory / f"{image.path.name}.some-transfer.part").open("wb") as file:
        file.truncate(image.size)
        for start, end in stretches:
            file.seek(start)
            file.write(data[start:end])


def test_pieces_are_seen_only_when_they_are_whole(tmp_path: Path) -> None:
    """Half a piece is none; the short one at the end counts like any other."""
    image = make(tmp_path, SIZE)
    assert piece_length(image.size) == PIECE
    assert pieces_of(image) == set(range(10))
    there = tmp_path / "there"
    there.mkdir()
    assert whole_pieces(image, there) == set()
    part(image, there)
    assert whole_pieces(image, there) == set()
    part(image, there, (PIECE, 3 * PIECE), (4 * PIECE, 4 * PIECE + PIECE // 2), (9 * PIECE, SIZE))
    assert whole_pieces(image, there) == {1, 2, 9}


def test_a_file_with_its_final_name_has_them_all(tmp_path: Path) -> None:
    """So does the image itself."""
    image = make(tmp_path, SIZE)
    assert whole_pieces(image, tmp_path) == pieces_of(image)


def test_an_image_has_its_data_in_stretches(tmp_path: Path) -> None:
    """Of each stretch the first share is data, and the rest a hole that takes no space."""
    image = make(tmp_path, 8 << 20, data_share=0.25, stretch_bytes=4 << 20)
    assert image.data == 2 << 20
    assert image.path.stat().st_size == 8 << 20
    assert image.path.stat().st_blocks * 512 == image.data
    data = image.path.read_bytes()
    assert any(data[(4 << 20) : (5 << 20)])
    assert not any(data[(5 << 20) :])
