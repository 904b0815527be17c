"""One pass over the bytes: the torrent, the hash, and what is refused."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from typing import TYPE_CHECKING

import pytest

from seeder.conversion import Conversion, hash_file, hash_stream
from swarm.blocking import in_thread
from swarm.disk_errors import disk_error
from swarm.errors import ImageCorrupt, ImageFailed, NoSpace, SourceUnreachable, StorageFailed
from swarm.messages import Variant
from swarm.torrent_version import TorrentVersion
from tests.images import torrent_of
from tests.small_disk import small_file_system
from tests.unit.seeder.workshop import IMAGE, describe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from swarm.messages import ImageDescription


V2 = TorrentVersion.V2


async def in_chunks(data: bytes, size: int = 1 << 20) -> AsyncIterator[bytes]:
    """Yield ``data`` as a source does."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


def hashed(image: ImageDescription, path: Path) -> Conversion:
    """Hash a file in place."""
    return asyncio.run(hash_file(image, Variant.ORIGINAL, path, image.size, V2))


@pytest.mark.parametrize("size", [1, 16 << 10, (4 << 20) - 1, 4 << 20, (9 << 20) + 5])
def test_file_and_stream_make_the_same_torrent(tmp_path: Path, size: int) -> None:
    """In place or streamed, whatever the buffers: the torrent depends on the bytes alone."""
    data = os.urandom(size)
    path, copy = tmp_path / "image", tmp_path / "copy"
    path.write_bytes(data)
    image = describe(data)
    streamed = asyncio.run(hash_stream(image, in_chunks(data), copy, V2))
    assert hashed(image, path).metainfo == torrent_of(path, image_id=IMAGE) == streamed.metainfo
    assert copy.read_bytes() == data
    assert streamed.hash_value == image.os_hash_value


def test_without_a_recorded_hash_ours_is_computed(tmp_path: Path) -> None:
    """A source that records no hash gets the one of the bytes that were read."""
    path = tmp_path / "image"
    path.write_bytes(b"bytes")
    image = describe(b"bytes", os_hash_algo=None, os_hash_value=None)
    expected = describe(b"bytes").os_hash_value
    assert (hashed(image, path).hash_algo, hashed(image, path).hash_value) == ("sha512", expected)


def test_bytes_without_the_recorded_hash_are_refused(tmp_path: Path) -> None:
    """The sentence names both hashes by their first digits."""
    path = tmp_path / "image"
    path.write_bytes(b"other bytes")
    image = describe(b"these bytes")
    with pytest.raises(ImageCorrupt, match=str(image.os_hash_value)[:16]) as refused:
        hashed(image, path)
    assert str(describe(b"other bytes").os_hash_value)[:16] in refused.value.detail
    with pytest.raises(ImageCorrupt):
        asyncio.run(hash_stream(image, in_chunks(b"other bytes"), tmp_path / "copy", V2))


def test_a_hash_that_nobody_knows_is_final(tmp_path: Path) -> None:
    """Trying again does not teach this host another algorithm."""
    path = tmp_path / "image"
    path.write_bytes(b"bytes")
    with pytest.raises(ImageFailed, match="crc32"):
        hashed(describe(b"bytes", os_hash_algo="crc32"), path)


@pytest.mark.parametrize(
    ("sent", "error"), [(b"shor", SourceUnreachable), (b"longer", ImageCorrupt)]
)
def test_a_stream_of_another_length(tmp_path: Path, sent: bytes, error: type[Exception]) -> None:
    """Too few bytes may be a broken connection; too many are another image."""
    image = describe(b"bytes")
    with pytest.raises(error):
        asyncio.run(hash_stream(image, in_chunks(sent), tmp_path / "copy", V2))


def test_a_file_of_another_length_is_read_later(tmp_path: Path) -> None:
    """It may be a copy that is still running, or not mounted at all."""
    path = tmp_path / "image"
    path.write_bytes(b"byte")
    with pytest.raises(SourceUnreachable):
        hashed(describe(b"bytes"), path)
    with pytest.raises(SourceUnreachable):
        hashed(describe(b"bytes"), tmp_path / "missing")


def test_a_full_disk_is_no_space(tmp_path: Path) -> None:
    """A stream that fills the file system fails with NoSpace, not with an OSError."""
    data = os.urandom(8 << 20)
    with small_file_system(tmp_path / "small", 4 << 20) as small, pytest.raises(NoSpace):
        asyncio.run(hash_stream(describe(data), in_chunks(data), small / "copy", V2))


def test_a_source_that_fails_is_passed_on(tmp_path: Path) -> None:
    """What the stream raises is what the caller gets."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"by"
        raise SourceUnreachable("the connection was reset")

    with pytest.raises(SourceUnreachable, match="reset"):
        asyncio.run(hash_stream(describe(b"bytes"), broken(), tmp_path / "copy", V2))


def test_a_cancelled_caller_waits_for_its_thread() -> None:
    """The thread is asked to stop and has ended when the cancellation comes out."""
    started, stop, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        assert stop.wait(20)
        ended.set()

    async def cancel_it() -> None:
        task = asyncio.create_task(in_thread(work, stop=stop))
        await asyncio.to_thread(started.wait, 20)
        assert not ended.is_set()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()

    asyncio.run(cancel_it())


@pytest.mark.parametrize(
    ("number", "expected"),
    [(errno.ENOSPC, NoSpace), (errno.EDQUOT, NoSpace), (errno.EIO, StorageFailed)],
)
def test_what_the_file_system_says(number: int, expected: type[Exception]) -> None:
    """A full disk and a full quota are NoSpace; the rest is StorageFailed."""
    assert type(disk_error("write", number, os.strerror(number))) is expected
