"""A Glance as the source: its active images, read in place where its file store is mounted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from swarm.glance import open_file

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from swarm.glance import Glance
    from swarm.messages import ImageDescription


class GlanceSource:
    """The images of one Glance; see :class:`seeder.sources.source.Source`."""

    def __init__(self, glance: Glance) -> None:
        self._glance = glance

    async def list_images(self) -> list[ImageDescription]:
        """Return every active image."""
        return [image.description for image in await self._glance.list_images()]

    async def show_image(self, image_id: str) -> ImageDescription:
        """Return one image. Raises :class:`~swarm.errors.ImageUnknown` unless it is active."""
        return (await self._glance.show_image(image_id)).description

    async def local_path(self, image: ImageDescription) -> Path | None:
        """Return the file in Glance's store, if this host has it."""
        # Asked anew: a store can be moved, and a listing is as old as the queue is long.
        found = await self._glance.show_image(image.id)
        return await asyncio.to_thread(open_file, found)

    def read(self, image: ImageDescription) -> AsyncIterator[bytes]:
        """Yield the bytes as Glance sends them."""
        return self._glance.read(image)
