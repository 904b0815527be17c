"""Images and torrents: what seeders register, report, publish and withdraw.

It brings together what each of these changes: the registry, the swarms that are open for announces,
those who wait, and those who listen. One change at a time, so that a check and the writing after it
are one step.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from swarm import metainfo
from swarm.errors import ImageUnknown, Unavailable
from swarm.events import ImageFailed, ImagePublished, ImageRegistered, ImageWithdrawn
from swarm.messages import ImageDocument, Variant, VariantDocument, VariantState
from tracker import publication
from tracker.demands import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable

    from swarm.messages import ImageDescription, VariantReport
    from tracker.demands import Demands
    from tracker.events import Events
    from tracker.registry.repository import Registry
    from tracker.swarms.store import Swarms

_LOG = logging.getLogger(__name__)


class Catalogue:
    """All images of this tracker."""

    def __init__(
        self, registry: Registry, swarms: Swarms, demands: Demands, events: Events
    ) -> None:
        self._registry = registry
        self._swarms = swarms
        self._demands = demands
        self._events = events
        self._one_at_a_time = asyncio.Lock()
        #: Called with each announce hash that is withdrawn.
        self.on_withdrawn: Callable[[bytes], None] = lambda _: None

    async def open_swarms(self) -> None:
        """Admit announces for all that is published, and nothing else.

        To be done before listening, and whenever another replica's word may have been missed.
        Raises what the registry raises.
        """
        async with self._one_at_a_time:
            hashes = await self._registry.announce_hashes()
            self._swarms.restore(hashes)
        _LOG.info("%d torrents are published", len(hashes))

    async def list_images(self, *, name: str | None) -> list[ImageDocument]:
        """Return all images, or those of one name, newest first."""
        return await self._registry.list_images(name=name)

    async def show_image(self, image_id: str) -> ImageDocument:
        """Return one image. Raises :class:`~swarm.errors.ImageUnknown`."""
        image = await self._registry.find_image(image_id)
        if image is None:
            raise ImageUnknown(f"image {image_id} is not registered", image_id=image_id)
        return image

    async def register(self, image: ImageDescription) -> ImageDocument:
        """Make an image known or bring its description up to date.

        Raises :class:`~swarm.errors.Conflict` if it contradicts a published torrent.
        """
        async with self._one_at_a_time:
            present = await self._registry.find_image(image.id)
            publication.check_description(present, image)
            await self._registry.save_image(image)
        self._demands.progress(image.id)
        if present is None or not publication.is_as_described(present, image):
            self._events.emit(ImageRegistered(image_id=image.id, name=image.name))
        return await self.show_image(image.id)

    async def report(
        self, image_id: str, variant: Variant, report: VariantReport
    ) -> VariantDocument:
        """Take down how far a conversion is, and return what the variant is now.

        Raises :class:`~swarm.errors.ImageUnknown` for an image that is not registered.
        """
        async with self._one_at_a_time:
            present = (await self.show_image(image_id)).variant(variant)
            document = publication.reported(present, variant, report)
            if document != present:
                await self._registry.save_variant(image_id, document)
        if document.state is VariantState.FAILED:
            _LOG.warning("image %s.%s failed: %s", image_id, variant.value, document.reason)
            self._demands.settle(Wanted(image_id, variant))
            if document != present:
                self._events.emit(
                    ImageFailed(image_id=image_id, variant=variant, reason=document.reason)
                )
        else:
            self._demands.progress(image_id)
        return document

    async def publish(
        self, image_id: str, variant: Variant, data: bytes, *, hash_algo: str, hash_value: str
    ) -> VariantDocument:
        """Publish the torrent in ``data``; the same one twice is the same as once.

        Raises :class:`~swarm.errors.ImageUnknown`, and as :func:`swarm.metainfo.parse` and
        :func:`tracker.publication.check_torrent` do.
        """
        # A torrent of a terabyte has 130,000 hashes to check.
        torrent = await asyncio.to_thread(metainfo.parse, data)
        document = publication.published(torrent, hash_algo=hash_algo, hash_value=hash_value)
        async with self._one_at_a_time:
            image = await self.show_image(image_id)
            publication.check_torrent(
                image, variant, torrent, hash_algo=hash_algo, hash_value=hash_value
            )
            present = image.variant(variant)
            if present is not None and present.state is VariantState.PUBLISHED:
                return present
            await self._registry.save_variant(image_id, document, data)
            for announce_hash in torrent.announce_hashes:
                self._swarms.open(announce_hash)
        _LOG.info("image %s.%s is published", image_id, variant.value)
        self._demands.settle(Wanted(image_id, variant))
        self._events.emit(
            ImagePublished(
                image_id=image_id,
                variant=variant,
                info_hash=torrent.info_hash.hex(),
                size=torrent.size,
            )
        )
        return document

    async def withdraw(self, image_id: str) -> None:
        """Remove an image and its torrents. Raises :class:`~swarm.errors.ImageUnknown`."""
        async with self._one_at_a_time:
            image = await self.show_image(image_id)
            await self._registry.delete_image(image_id)
            for variant in image.variants:
                for announce_hash in variant.announce_hashes:
                    await self._forget(announce_hash)
        _LOG.info("image %s is withdrawn", image_id)
        self._demands.withdraw(image_id)
        self._events.emit(ImageWithdrawn(image_id=image_id))

    async def _forget(self, announce_hash: bytes) -> None:
        self.on_withdrawn(announce_hash)
        try:
            await self._swarms.forget(announce_hash)
        except Unavailable as error:
            # It is closed; who was in it is forgotten when the time of its last peer is over.
            _LOG.warning("a withdrawn swarm could not be emptied: %s", error)
