"""The directory source: which files are images, what they are called, what they are."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from typing import TYPE_CHECKING

import pytest

from seeder.sources.directory import DirectorySource, image_id
from swarm.errors import ImageUnknown, SourceUnreachable
from tests.small_disk import small_file_system
from tests.unit.seeder.workshop import IMAGE, qcow2, settled

if TYPE_CHECKING:
    from pathlib import Path

    from swarm.messages import ImageDescription


def listed(directory: Path) -> dict[str, ImageDescription]:
    """Return the images of a directory by name."""
    images = asyncio.run(DirectorySource(directory).list_images())
    return {image.name: image for image in images}


def test_each_settled_regular_file_is_an_image(tmp_path: Path) -> None:
    """Hidden files, parts, empty ones, directories and broken links are not."""
    settled(tmp_path / "debian.img", b"x" * 5000)
    for name in (".hidden", "debian.img.part"):
        settled(tmp_path / name, b"x")
    settled(tmp_path / "empty.img", b"")
    (tmp_path / "sub").mkdir()
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    assert listed(tmp_path).keys() == {"debian.img"}


def test_a_file_that_is_being_written_waits(tmp_path: Path) -> None:
    """A file with a change in the last two seconds is left for a later listing."""
    path = tmp_path / "debian.img"
    path.write_bytes(b"x")
    assert listed(tmp_path) == {}
    settled(path)
    assert listed(tmp_path).keys() == {"debian.img"}


def test_a_time_in_the_future_is_no_reason_to_wait(tmp_path: Path) -> None:
    """A skewed clock must not hide an image for ever."""
    path = settled(tmp_path / "debian.img", b"x")
    later = time.time() + 3600
    os.utime(path, (later, later))
    assert listed(tmp_path).keys() == {"debian.img"}


def test_an_empty_file_is_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A listing every few seconds must not fill the log."""
    settled(tmp_path / "empty.img", b"")

    async def list_twice() -> None:
        source = DirectorySource(tmp_path)
        assert await source.list_images() == []
        assert await source.list_images() == []

    asyncio.run(list_twice())
    assert caplog.text.count("is empty") == 1


def test_a_uuid_in_the_name_is_the_image_id() -> None:
    """The name may say which Glance image the file is; case does not matter."""
    assert image_id(f"{IMAGE}.qcow2", 1, 2) == IMAGE
    assert image_id(IMAGE.upper(), 1, 2) == IMAGE


def test_any_other_file_has_an_id_of_its_name_size_and_time() -> None:
    """The same file keeps its id; a changed one is another image."""
    first = image_id("debian.img", 10, 20)
    assert image_id("debian.img", 10, 20) == first
    changed = {image_id("other.img", 10, 20), image_id("debian.img", 11, 20)}
    assert first not in changed | {image_id("debian.img", 10, 21)}


def test_the_content_decides_the_disk_format(tmp_path: Path) -> None:
    """A qcow2 called .raw is a qcow2, and a text called .qcow2 is raw."""
    settled(qcow2(tmp_path / "lie.raw", os.urandom(1 << 20)))
    settled(tmp_path / "text.qcow2", b"no magic number here" * 100)
    images = listed(tmp_path)
    assert images["lie.raw"].disk_format == "qcow2"
    assert images["text.qcow2"].disk_format == "raw"


def test_a_partitioned_disk_is_raw(tmp_path: Path) -> None:
    """Glance has no format of its own for a disk with a partition table."""
    mbr = bytearray(4096)
    mbr[510:512] = b"\x55\xaa"
    settled(tmp_path / "disk.img", bytes(mbr))
    assert listed(tmp_path)["disk.img"].disk_format == "raw"


def test_a_sidecar_gives_the_hash(tmp_path: Path) -> None:
    """`<file>.sha512`, as sha512sum writes it, is what the bytes must have; it is no image."""
    data = b"an image" * 1000
    settled(tmp_path / "debian.img", data)
    digest = hashlib.sha512(data).hexdigest()
    (tmp_path / "debian.img.sha512").write_text(f"{digest}  debian.img\n")
    image = listed(tmp_path)["debian.img"]
    assert (image.os_hash_algo, image.os_hash_value) == ("sha512", digest)


def test_an_unreadable_sidecar_hides_the_image(tmp_path: Path) -> None:
    """An image whose hash can't be read is not shared as if it had none."""
    settled(tmp_path / "debian.img", b"x")
    (tmp_path / "debian.img.sha512").write_text("see the web page\n")
    assert listed(tmp_path) == {}


def test_a_new_sidecar_is_noticed(tmp_path: Path) -> None:
    """What a listing remembers of a file does not outlive a change beside it."""
    settled(tmp_path / "debian.img", b"x")

    async def list_before_and_after() -> list[str | None]:
        source = DirectorySource(tmp_path)
        before = await source.list_images()
        (tmp_path / "debian.img.sha512").write_text(hashlib.sha512(b"x").hexdigest())
        return [image.os_hash_value for image in (*before, *await source.list_images())]

    before, after = asyncio.run(list_before_and_after())
    assert before is None
    assert after == hashlib.sha512(b"x").hexdigest()


def test_two_files_of_one_id_are_one_image(tmp_path: Path) -> None:
    """The first name wins, and its file is the one that is read."""
    settled(tmp_path / f"{IMAGE}.a", b"first")
    settled(tmp_path / f"{IMAGE}.b", b"second!")

    async def look() -> tuple[list[ImageDescription], Path | None]:
        source = DirectorySource(tmp_path)
        images = await source.list_images()
        return images, await source.local_path(images[0])

    images, path = asyncio.run(look())
    assert [image.size for image in images] == [5]
    assert path == tmp_path / f"{IMAGE}.a"


def test_a_missing_directory_is_unreachable_not_empty(tmp_path: Path) -> None:
    """An unmounted directory must not look like one whose images were all removed."""
    with pytest.raises(SourceUnreachable):
        listed(tmp_path / "missing")


def test_an_unmounted_directory_is_unreachable_not_empty(tmp_path: Path) -> None:
    """An empty mount point is not a directory whose images were all deleted."""
    images = tmp_path / "images"
    source = DirectorySource(images)
    with small_file_system(images, 1 << 20):
        settled(images / "disk.raw", b"\x01" * 1000)
        assert len(asyncio.run(source.list_images())) == 1
    with pytest.raises(SourceUnreachable, match="unmounted"):
        asyncio.run(source.list_images())


def test_show_and_read(tmp_path: Path) -> None:
    """An image can be shown by id and its bytes read; an unknown id is ImageUnknown."""
    data = os.urandom(5 << 20)
    settled(tmp_path / f"{IMAGE}.img", data)

    async def fetch() -> bytes:
        source = DirectorySource(tmp_path)
        image = await source.show_image(IMAGE)
        with pytest.raises(ImageUnknown):
            await source.show_image("00000000-0000-4000-8000-000000000000")
        return b"".join([chunk async for chunk in source.read(image)])

    assert asyncio.run(fetch()) == data
