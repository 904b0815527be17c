"""Copies of what is on this host already."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING

import pytest

from peer.transfers import local_copy
from peer.transfers.local_copy import copy_local
from peer.transfers.verification import Stopped, check_hash, hash_file
from swarm.errors import ImageCorrupt, StorageFailed
from swarm.torrent_version import TorrentVersion
from tests.images import torrent_of, write_random

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from swarm.metainfo import Metainfo

SIZE = 3_000_001


@pytest.fixture
def target(tmp_path: Path) -> Iterator[int]:
    """Return an empty file of the full size."""
    fd = os.open(tmp_path / "target", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, SIZE)
    yield fd
    os.close(fd)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return random bytes with a hole of a MiB in the middle and one at the end."""
    path = write_random(tmp_path / "source", SIZE)
    with path.open("r+b") as file:
        data = file.read()
        file.truncate(0)
        file.write(data[: 1 << 20])
        file.seek(2 << 20)
        file.write(data[2 << 20 : (2 << 20) + 5000])
        file.truncate(SIZE)
    return path


def copy(source: Path, target: int, torrent: Metainfo) -> tuple[bool, list[int]]:
    """Copy, and return what came of it and the positions that were reported."""
    positions: list[int] = []
    stop = threading.Event()
    copied = copy_local(source, target, torrent, stop=stop, on_bytes=positions.append)
    return copied, positions


@pytest.mark.parametrize("version", TorrentVersion)
def test_a_source_that_changed_is_told_by_every_version(
    source: Path, target: int, version: TorrentVersion
) -> None:
    """By the merkle tree, or by the SHA-1 of the pieces where there is no tree."""
    torrent = torrent_of(source, version=version)
    assert copy(source, target, torrent)[0]
    with source.open("r+b") as file:
        file.seek(SIZE - 1)
        file.write(b"x")
    assert not copy(source, target, torrent)[0]


@pytest.mark.parametrize("number", [None, errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_copy_is_the_same_bytes_and_the_same_holes(
    source: Path, target: int, monkeypatch: pytest.MonkeyPatch, number: int | None
) -> None:
    """By the kernel, or through memory where the kernel can't (the refusal is staged)."""
    if number is not None:

        def refuse(*_: object) -> int:
            raise OSError(number, "staged")

        monkeypatch.setattr(local_copy.os, "copy_file_range", refuse)
    copied, positions = copy(source, target, torrent_of(source))
    assert copied
    assert positions == sorted(positions)
    assert positions[-1] == SIZE
    assert os.pread(target, SIZE, 0) == source.read_bytes()
    assert os.fstat(target).st_blocks <= source.stat().st_blocks


def test_a_source_that_is_something_else_is_found_out(
    source: Path, target: int, tmp_path: Path
) -> None:
    """One changed byte, another length, a symbolic link, a directory, nothing at all."""
    torrent = torrent_of(source)
    link = tmp_path / "link"
    link.symlink_to(source)
    assert not copy(link, target, torrent)[0]
    assert not copy(tmp_path, target, torrent)[0]
    assert not copy(tmp_path / "missing", target, torrent)[0]
    with source.open("r+b") as file:
        file.seek(SIZE - 1)
        file.write(b"!")
    assert not copy(source, target, torrent)[0]
    os.truncate(source, SIZE - 1)
    assert not copy(source, target, torrent)[0]


def test_a_file_of_nothing_but_hole_can_be_copied(tmp_path: Path, target: int) -> None:
    """No extent at all."""
    source = tmp_path / "hole"
    source.touch()
    os.truncate(source, SIZE)
    assert copy(source, target, torrent_of(source)) == (True, [SIZE])


def test_copying_and_hashing_can_be_stopped(source: Path, target: int) -> None:
    """Within one chunk."""
    torrent, stop = torrent_of(source), threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        copy_local(source, target, torrent, stop=stop, on_bytes=lambda _: None)
    with pytest.raises(Stopped):
        hash_file(target, torrent, stop)


def test_the_whole_file_is_compared_with_its_hash(source: Path, target: int) -> None:
    """The right hash passes; another, and a file that is too short, do not."""
    torrent, stop = torrent_of(source), threading.Event()
    assert copy(source, target, torrent)[0]
    value = hash_file(target, torrent, stop, algo="sha512").hash_value
    check_hash(target, torrent, "sha512", value, stop)
    os.pwrite(target, b"?", 12345)
    with pytest.raises(ImageCorrupt):
        check_hash(target, torrent, "sha512", value, stop)
    os.ftruncate(target, 10)
    with pytest.raises(StorageFailed, match="ends after 10 bytes"):
        check_hash(target, torrent, "sha512", value, stop)
