"""The contract of a source of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from swarm.messages import ImageDescription


class Source(Protocol):
    """Lists images and gives their bytes; an image's bytes never change under one id.

    Each method raises :class:`~swarm.errors.SourceUnreachable` while the source can't be asked.
    """

    async def list_images(self) -> list[ImageDescription]:
        """Return every image that can be shared now."""
        ...

    async def show_image(self, image_id: str) -> ImageDescription:
        """Return one image. Raises :class:`~swarm.errors.ImageUnknown`."""
        ...

    async def local_path(self, image: ImageDescription) -> Path | None:
        """Return the absolute path of a file here that holds the bytes, if there is one.

        The seeder then reads and seeds that file in place, and never writes to it.
        """
        ...

    def read(self, image: ImageDescription) -> AsyncIterator[bytes]:
        """Yield the bytes of an image in order, in chunks of a MiB or more but for the last."""
        ...
