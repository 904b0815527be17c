"""The `raw` variant: an image converted once, here, so that a thousand hosts need not.

What inspection refuses is not converted. One qemu-img runs at a time: it is the disk that is busy.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from functools import partial
from typing import TYPE_CHECKING

from seeder import inspection, qemu_img
from swarm.blocking import in_thread
from swarm.disk_errors import translated
from swarm.errors import ImageFailed, ImageRefused, ImageUnsafe

if TYPE_CHECKING:
    from pathlib import Path

    from swarm.messages import ImageDescription

_LOG = logging.getLogger(__name__)


def check_has_raw_form(image: ImageDescription) -> None:
    """Raise :class:`~swarm.errors.ImageRefused` if a raw variant of ``image`` makes no sense."""
    if image.container_format != "bare":
        raise ImageRefused(
            f"image {image.id} is in a container ({image.container_format}), which is not unpacked",
            image_id=image.id,
        )
    if image.disk_format not in inspection.RAW_FORM_OF:
        raise ImageRefused(
            f"image {image.id} is {image.disk_format}, which has no other raw form: "
            "ask for its original variant",
            image_id=image.id,
        )


class RawConverter:
    """Runs qemu-img; ``size_limit_bytes`` is the largest virtual size that it takes on."""

    def __init__(self, *, timeout_seconds: float, size_limit_bytes: int) -> None:
        self._timeout_seconds = timeout_seconds
        self._size_limit_bytes = size_limit_bytes
        self._turn = asyncio.Semaphore(1)

    async def convert(self, image: ImageDescription, original: Path, target: Path) -> int:
        """Write the raw disk in ``original`` to ``target``; return its size in bytes.

        ``original`` holds bytes that were verified. ``target`` is on disk when this returns, with
        its holes kept; after an error it is the caller's to remove. Raises
        :class:`~swarm.errors.ImageUnsafe` for what Nova would refuse, and what
        :func:`seeder.qemu_img.run` raises.
        """
        check_has_raw_form(image)
        async with self._turn:
            started = time.monotonic()
            size = await inspection.inspect(original, image.disk_format)
            self._check_virtual_size(image, size)
            await qemu_img.run(
                "convert",
                "--force-share",
                *("-f", inspection.RAW_FORM_OF[image.disk_format], "-O", "raw"),
                *(str(original), str(target)),
                timeout_seconds=self._timeout_seconds,
            )
            await in_thread(partial(_settle, target, size))
        _LOG.info(
            "converted image %s from %s to raw: %d bytes in %.2f s",
            *(image.id, image.disk_format, size, time.monotonic() - started),
        )
        return size

    def _check_virtual_size(self, image: ImageDescription, size: int) -> None:
        if not 0 < size <= self._size_limit_bytes:
            raise ImageUnsafe(
                f"image {image.id} claims a disk of {size} bytes; [seeder] raw_size_limit allows "
                f"{self._size_limit_bytes}",
                image_id=image.id,
            )


def _settle(target: Path, size: int) -> None:
    """Verify that ``target`` is as long as it has to be, and bring it to the disk."""
    with translated(f"write {target}"), target.open("rb") as file:
        found = os.fstat(file.fileno()).st_size
        if found != size:
            raise ImageFailed(f"qemu-img wrote {found} bytes and not the disk's {size}")
        os.fdatasync(file.fileno())
