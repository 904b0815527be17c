"""The raw form, by the real qemu-img: what is converted, and what is refused as Nova does."""

from __future__ import annotations

import asyncio
import os
import stat
from typing import TYPE_CHECKING

import pytest

from seeder import inspection, qemu_img
from seeder.raw import RawConverter, check_has_raw_form
from swarm.errors import ImageFailed, ImageRefused, ImageUnsafe, NoSpace, StorageFailed
from tests.small_disk import small_file_system
from tests.unit.seeder import workshop
from tests.unit.seeder.workshop import describe, disk, qcow2
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


def convert(
    original: Path, target: Path, disk_format: str = "qcow2", *, limit: int = 1 << 40
) -> int:
    """Convert a file to raw, as the seeder does."""
    image = describe(b"-", disk_format=disk_format)
    converter = RawConverter(timeout_seconds=60, size_limit_bytes=limit)
    return asyncio.run(converter.convert(image, original, target))


@pytest.mark.parametrize("options", [(), ("-c",)], ids=["plain", "compressed"])
def test_the_raw_form_of_a_qcow2_is_its_disk(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Byte for byte, with the holes kept."""
    raw = disk(8 * MIB)
    original = qcow2(tmp_path / "image.qcow2", raw, *options)
    target = tmp_path / "image.raw"
    assert convert(original, target) == len(raw)
    assert target.read_bytes() == raw
    assert target.stat().st_blocks * 512 < 5 * MIB


@pytest.mark.parametrize("disk_format", ["vmdk", "vhdx", "vdi"])
def test_other_formats_have_a_raw_form_too(tmp_path: Path, disk_format: str) -> None:
    """What Nova's inspector and qemu-img both know is converted."""
    raw = disk(4 * MIB)
    (tmp_path / "source").write_bytes(raw)
    original = tmp_path / "image"
    workshop.qemu_img("convert", "-f", "raw", "-O", disk_format, tmp_path / "source", original)
    assert convert(original, tmp_path / "raw", disk_format) == len(raw)
    assert (tmp_path / "raw").read_bytes() == raw


def test_a_backing_file_is_refused(tmp_path: Path) -> None:
    """It would have the host read a file of its own for the guest."""
    original = tmp_path / "image"
    workshop.qemu_img("create", "-f", "qcow2", "-F", "raw", "-b", "/etc/hostname", original, "1M")
    with pytest.raises(ImageUnsafe, match="backing"):
        convert(original, tmp_path / "raw")
    assert not (tmp_path / "raw").exists()


def test_a_data_file_is_refused(tmp_path: Path) -> None:
    """As a backing file, by another name (CVE-2024-32498)."""
    original = tmp_path / "image"
    data = tmp_path / "data"
    workshop.qemu_img("create", "-f", "qcow2", "-o", f"data_file={data}", original, "1M")
    with pytest.raises(ImageUnsafe, match=r"data.file"):
        convert(original, tmp_path / "raw")


@pytest.mark.parametrize("stated", ["vmdk", "vdi"])
def test_a_lie_about_the_format_is_refused(tmp_path: Path, stated: str) -> None:
    """The content has to be what Glance says it is."""
    original = qcow2(tmp_path / "image", os.urandom(MIB))
    with pytest.raises(ImageUnsafe, match="the content is qcow2"):
        convert(original, tmp_path / "raw", stated)


def test_raw_bytes_called_qcow2_are_refused(tmp_path: Path) -> None:
    """Likewise when there is no format at all."""
    original = tmp_path / "image"
    original.write_bytes(os.urandom(MIB))
    with pytest.raises(ImageUnsafe, match="the content is raw"):
        convert(original, tmp_path / "raw")


def test_an_enormous_disk_is_refused(tmp_path: Path) -> None:
    """A file of 200 KB can claim to be a disk of a TiB."""
    original = tmp_path / "image"
    workshop.qemu_img("create", "-f", "qcow2", original, "1T")
    with pytest.raises(ImageUnsafe, match="raw_size_limit"):
        convert(original, tmp_path / "raw", limit=1 << 39)


@pytest.mark.parametrize("disk_format", ["raw", "iso", "ami", "luks", "qed"])
def test_what_has_no_other_raw_form(disk_format: str) -> None:
    """Such an image is refused with a sentence, not converted to itself."""
    with pytest.raises(ImageRefused, match="original variant"):
        check_has_raw_form(describe(b"-", disk_format=disk_format))


def test_a_container_is_not_unpacked() -> None:
    """The disk_format of an OVA or a compressed image speaks of what is inside."""
    with pytest.raises(ImageRefused, match="container"):
        check_has_raw_form(describe(b"-", disk_format="vmdk", container_format="ova"))


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        ({"format": "vmdk"}, "qemu-img finds vmdk"),
        ({"format": "qcow2", "backing-filename": "/etc/shadow"}, "backing file: /etc/shadow"),
        ({"format": "qcow2", "format-specific": {"data": {"data-file": "x"}}}, "data file: x"),
    ],
)
def test_qemu_img_has_to_agree(info: dict[str, object], reason: str) -> None:
    """The second opinion counts, even where the first found nothing."""
    with pytest.raises(ImageUnsafe, match=reason):
        inspection.check_info(info, "qcow2")


def test_a_vmdk_of_several_files_is_refused() -> None:
    """Its extents name other files of the host."""
    info = {"format": "vmdk", "format-specific": {"data": {"create-type": "monolithicFlat"}}}
    with pytest.raises(ImageUnsafe, match="monolithicFlat"):
        inspection.check_info(info, "vmdk")


def test_a_full_disk_is_no_space(tmp_path: Path) -> None:
    """qemu-img's words for it become the error that is tried again."""
    original = qcow2(tmp_path / "image", os.urandom(8 * MIB))
    with small_file_system(tmp_path / "small", 4 * MIB) as small, pytest.raises(NoSpace):
        convert(original, small / "raw")


def fake_qemu_img(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a script in qemu-img's place: only for how it ends, which the real one does at will."""
    path = tmp_path / "qemu-img"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


def test_a_qemu_img_that_takes_too_long_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time-out is an error of the image; the process is gone when it is raised."""
    fake_qemu_img(tmp_path, monkeypatch, f"echo $$ >{tmp_path}/pid; exec sleep 60")
    with pytest.raises(ImageFailed, match=r"longer than 0\.5 s"):
        asyncio.run(qemu_img.run("convert", timeout_seconds=0.5))
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_cancelled_conversion_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its image may be withdrawn, or the seeder be stopped."""
    fake_qemu_img(tmp_path, monkeypatch, f"echo $$ >{tmp_path}/pid; exec sleep 60")
    pid = tmp_path / "pid"

    async def cancel_it() -> None:
        task = asyncio.create_task(qemu_img.run("convert", timeout_seconds=60))
        await until(lambda: pid.exists() and pid.stat().st_size > 1, what="it runs")
        os.kill(int(pid.read_text()), 0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel_it())
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_its_words_are_passed_on_but_not_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a hostile image makes it say is cut."""
    fake_qemu_img(tmp_path, monkeypatch, "head -c 3000000 /dev/zero | tr '\\0' x >&2; exit 3")
    with pytest.raises(ImageFailed, match=r"qemu-img info failed \(3\): xxx") as failed:
        asyncio.run(qemu_img.run("info", timeout_seconds=30))
    assert len(failed.value.detail) < 600


def test_the_limits_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address space of an inspection is what Nova allows."""
    fake_qemu_img(tmp_path, monkeypatch, "ulimit -v")
    printed = asyncio.run(qemu_img.run("info", timeout_seconds=30, limits=qemu_img.INFO_LIMITS))
    assert int(printed) << 10 == 1 << 30


def test_a_host_without_qemu_img_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the seeder's lack and not the image's fault."""
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(StorageFailed, match="not installed"):
        asyncio.run(qemu_img.run("info", timeout_seconds=30))
