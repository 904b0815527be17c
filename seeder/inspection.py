"""What an image file really is, and whether a host may trust it: the checks that Nova makes.

Content decides, by oslo.utils' format inspector; then qemu-img, under limits, has to agree
(nova/virt/images.py: do_image_deep_inspection, fetch_to_raw). An image that names another file (a
backing file, a data file, an extent) would have the host read that file for the guest.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from seeder import qemu_img
from swarm.errors import ImageUnsafe

if TYPE_CHECKING:
    from pathlib import Path

#: Formats that have a raw form, with qemu's own name for each. Glance's vhd is qemu's vpc.
RAW_FORM_OF = {"qcow2": "qcow2", "vmdk": "vmdk", "vhd": "vpc", "vhdx": "vhdx", "vdi": "vdi"}

#: Sub-formats of vmdk that consist of one file (nova.conf: vmdk_allowed_types).
_VMDK_TYPES = {"streamOptimized", "monolithicSparse"}

_READ_BYTES = 4096
_INFO_SECONDS = 60.0


def detect_format(path: Path) -> str:
    """Return the Glance disk_format of the file's content; a partitioned disk is ``raw``.

    Reads the first few hundred KiB. Raises ValueError for content that is two formats at once, and
    OSError.
    """
    name = str(_detect(path))
    return "raw" if name == "gpt" else name


async def inspect(path: Path, disk_format: str) -> int:
    """Return the virtual size in bytes of an image that is safe to convert to raw.

    Raises :class:`~swarm.errors.ImageUnsafe` with the reason for any other.
    """
    await asyncio.to_thread(_check_content, path, disk_format)
    printed = await qemu_img.run(
        "info",
        "--force-share",
        "--output=json",
        str(path),
        timeout_seconds=_INFO_SECONDS,
        limits=qemu_img.INFO_LIMITS,
    )
    try:
        info = json.loads(printed)
        return check_info(info, disk_format)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ImageUnsafe(f"qemu-img info printed what can't be understood: {error!r}") from error


def check_info(info: dict[str, Any], disk_format: str) -> int:
    """Return the virtual size in bytes that ``qemu-img info`` found, if all else is harmless.

    Raises :class:`~swarm.errors.ImageUnsafe`; KeyError, TypeError or AttributeError for a document
    of another form.
    """
    if info["format"] != RAW_FORM_OF[disk_format]:
        raise ImageUnsafe(f"Glance says {disk_format}, but qemu-img finds {info['format']}")
    backing = info.get("backing-filename") or info.get("full-backing-filename")
    if backing is not None:
        raise ImageUnsafe(f"the image has a backing file: {backing:.200}")
    specific = (info.get("format-specific") or {}).get("data") or {}
    if specific.get("data-file") is not None:
        raise ImageUnsafe(f"the image has a data file: {specific['data-file']:.200}")
    if disk_format == "vmdk" and specific.get("create-type") not in _VMDK_TYPES:
        raise ImageUnsafe(f"the vmdk is of type {specific.get('create-type')}, in several files")
    return int(info["virtual-size"])


def _check_content(path: Path, disk_format: str) -> None:
    from oslo_utils.imageutils import format_inspector  # noqa: PLC0415 - only who inspects pays

    try:
        inspector = _detect(path)
        inspector.safety_check()
    except format_inspector.SafetyCheckFailed as error:
        reasons = "; ".join(f"{name}: {why}" for name, why in sorted(error.failures.items()))
        raise ImageUnsafe(f"the image failed the safety check: {reasons}") from error
    except (ValueError, format_inspector.ImageFormatError) as error:
        raise ImageUnsafe(f"the image's format can't be told: {error}") from error
    if str(inspector) != disk_format:
        raise ImageUnsafe(f"Glance says {disk_format}, but the content is {inspector}")


def _detect(path: Path) -> Any:  # noqa: ANN401 - oslo.utils ships no types
    from oslo_utils.imageutils import format_inspector  # noqa: PLC0415 - only who inspects pays

    with path.open("rb") as file:
        wrapper = format_inspector.InspectWrapper(file)
        try:
            while not wrapper.formats and wrapper.read(_READ_BYTES):
                pass
        finally:
            wrapper.close()
    found = {str(inspector): inspector for inspector in wrapper.formats or ()}
    # A bootable ISO may carry a partition table for being booted as a disk; Nova takes it as ISO.
    if found.keys() == {"iso", "gpt"}:
        return found["iso"]
    if len(found) != 1:
        raise ValueError("is of several formats at once: " + ", ".join(sorted(found)))
    return next(iter(found.values()))
