"""A directory of image files as the source: the embedded default, with no Glance anywhere.

Each regular file is an image, but for hidden ones, ``*.part`` and the ``*.sha512`` beside them. Its
content decides the disk format, not its name. A file that is changed is another image, unless its
name says which image it is (``<uuid>`` or ``<uuid>.<suffix>``).
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import stat
import time
import uuid
from typing import TYPE_CHECKING, NamedTuple

from seeder import inspection
from swarm.errors import ImageUnknown, SourceUnreachable
from swarm.messages import ImageDescription, is_image_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_LOG = logging.getLogger(__name__)

#: The ids of files without a UUID in their names are made in this namespace.
_NAMESPACE = uuid.UUID("5d3c6f0e-1f0b-5a53-9a0e-3a6c5f4f7a11")
_SHA512 = re.compile(r"[0-9a-f]{128}", re.IGNORECASE)

_HASH_SUFFIX = ".sha512"
_SIDECAR_BYTES = 4096
_CHUNK_BYTES = 4 << 20

#: A file that was written to more recently is left for the next listing: it may not be complete.
SETTLE_SECONDS = 2.0


class _Seen(NamedTuple):
    """What a listing found out about one file; kept as long as the file stays the same."""

    size: int
    mtime_ns: int
    sidecar_mtime_ns: int
    image: ImageDescription


class DirectorySource:
    """The images in one directory (not below it)."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()
        self._seen: dict[str, _Seen] = {}
        self._skipped: set[str] = set()
        self._device: int | None = None

    async def list_images(self) -> list[ImageDescription]:
        """Return every image in the directory; see :class:`seeder.sources.source.Source`."""
        return await asyncio.to_thread(self._list)

    async def show_image(self, image_id: str) -> ImageDescription:
        """Return one image. Raises :class:`~swarm.errors.ImageUnknown`."""
        for image in await self.list_images():
            if image.id == image_id:
                return image
        raise ImageUnknown(f"{self._directory} has no image {image_id}", image_id=image_id)

    async def local_path(self, image: ImageDescription) -> Path | None:
        """Return the file itself: a directory is always read in place."""
        for name, seen in self._seen.items():
            if seen.image.id == image.id:
                return self._directory / name
        return None

    async def read(self, image: ImageDescription) -> AsyncIterator[bytes]:
        """Yield the bytes of the image's file."""
        path = await self.local_path(image)
        if path is None:
            raise ImageUnknown(f"{self._directory} has no image {image.id}", image_id=image.id)
        with await asyncio.to_thread(path.open, "rb", 0) as file:
            while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
                yield chunk

    def _list(self) -> list[ImageDescription]:
        try:
            self._check_mount()
            names = sorted(os.listdir(self._directory))  # noqa: PTH208 - names, not paths
        except OSError as error:
            raise SourceUnreachable(
                f"the directory of images {self._directory} can't be read: {error.strerror}",
                path=str(self._directory),
            ) from error
        found = {name: seen for name in names if (seen := self._look(name)) is not None}
        self._seen = found
        # Two files may not name one image: the first of them in the order of names is it.
        return list({seen.image.id: seen.image for seen in reversed(found.values())}.values())[::-1]

    def _check_mount(self) -> None:
        """Take an unmounted directory for unreachable, and not for one whose images are gone."""
        device = self._directory.stat().st_dev
        if self._device not in {None, device}:
            raise SourceUnreachable(
                f"{self._directory} is on another file system than before: was it unmounted?",
                path=str(self._directory),
            )
        self._device = device

    def _look(self, name: str) -> _Seen | None:
        if name.startswith(".") or name.endswith((".part", _HASH_SUFFIX)):
            return None
        path = self._directory / name
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                return None
            if not self._is_shareable(name, status):
                return None
            return self._describe(path, status)
        except OSError as error:
            self._skip(name, f"can't be read: {error.strerror}")
        except ValueError as error:
            self._skip(name, str(error))
        return None

    def _is_shareable(self, name: str, status: os.stat_result) -> bool:
        # abs: a time in the future is the clock's fault, and no reason to wait for it.
        if abs(time.time() - status.st_mtime) < SETTLE_SECONDS:
            return False
        if status.st_size == 0:
            self._skip(name, "is empty")
            return False
        return True

    def _skip(self, name: str, why: str) -> None:
        """Say once why a file is no image; its next change is said again only after a restart."""
        if name not in self._skipped:
            self._skipped.add(name)
            _LOG.warning("%s %s: skipped", self._directory / name, why)

    def _describe(self, path: Path, status: os.stat_result) -> _Seen:
        sidecar = _mtime_ns(path.with_name(path.name + _HASH_SUFFIX))
        known = self._seen.get(path.name)
        if known is not None and known[:3] == (status.st_size, status.st_mtime_ns, sidecar):
            return known
        recorded = _recorded_hash(path)
        image = ImageDescription(
            id=image_id(path.name, status.st_size, status.st_mtime_ns),
            name=path.name,
            size=status.st_size,
            disk_format=inspection.detect_format(path),
            os_hash_algo="sha512" if recorded else None,
            os_hash_value=recorded,
        )
        return _Seen(status.st_size, status.st_mtime_ns, sidecar, image)


def image_id(name: str, size: int, mtime_ns: int) -> str:
    """Return the id of a file: its stem if that is a UUID, else one made of the arguments."""
    stem = name.partition(".")[0].lower()
    if is_image_id(stem):
        return stem
    return str(uuid.uuid5(_NAMESPACE, f"{name}:{size}:{mtime_ns}"))


def _mtime_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _recorded_hash(path: Path) -> str | None:
    """Return the hash in ``<file>.sha512``, if there is one.

    Raises ValueError if it is not in the form that sha512sum writes: an image whose hash can't be
    read is not shared as if it had none.
    """
    sidecar = path.with_name(path.name + _HASH_SUFFIX)
    try:
        with sidecar.open("rb") as file:
            text = file.read(_SIDECAR_BYTES).decode("ascii", "replace")
    except FileNotFoundError:
        return None
    # sha512sum marks a line whose file name had to be escaped with a backslash.
    first = text.split(maxsplit=1)[0].lstrip("\\") if text.split() else ""
    if not _SHA512.fullmatch(first):
        raise ValueError(f"has a {sidecar.name} that does not start with a SHA-512")
    return first.lower()
