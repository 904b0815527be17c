"""Getting a torrent: which variant the destination wants, and patience with the tracker.

Nothing here touches the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from typing import TYPE_CHECKING, NamedTuple

from swarm import metainfo
from swarm.errors import (
    ImageNotReady,
    ImageUnknown,
    MetainfoError,
    Unavailable,
)
from swarm.messages import DestinationFormat, ImageDocument, Variant, VariantDocument

if TYPE_CHECKING:
    from peer.transfers.transfer import Record
    from swarm.tracker_client import TrackerClient

_LOG = logging.getLogger(__name__)

#: One question to the tracker; it is asked again and again until the time is up.
_WAIT_SECONDS = 30.0
_FIRST_WAIT_SECONDS = 2.0
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 10.0


class Prepared(NamedTuple):
    """What a transfer needs to know before the first byte."""

    torrent: metainfo.Metainfo
    #: As the tracker knows the variant; None if it does not say.
    variant: VariantDocument | None


def choose_variant(image: ImageDocument | None, wish: DestinationFormat) -> Variant:
    """Return the variant to fetch: the raw one only if it is wanted and differs from the original.

    An image that the tracker does not know yet is asked for as it is, which makes seeders look.
    """
    if image is None or wish is DestinationFormat.AS_IS or image.disk_format == "raw":
        return Variant.ORIGINAL
    return Variant.RAW


async def prepare(tracker: TrackerClient, record: Record, *, timeout_seconds: float) -> Prepared:
    """Return the torrent of the image that ``record`` asks for, once it is published.

    Raises what the tracker says of it, for "not now" only after ``timeout_seconds``; and
    :class:`~swarm.errors.MetainfoError` if it is the torrent of something else.
    """
    deadline = asyncio.get_running_loop().time() + timeout_seconds
    pause = _FIRST_PAUSE_SECONDS
    said = ""
    while True:
        left = deadline - asyncio.get_running_loop().time()
        try:
            return await _attempt(tracker, record, max(0.0, min(left, _WAIT_SECONDS)))
        except Unavailable as error:
            if left <= 0:
                raise
            if type(error).__name__ != said:
                said = type(error).__name__
                _LOG.info("transfer %s waits: %s", record.id, error.detail)
            pause = _FIRST_PAUSE_SECONDS if isinstance(error, ImageNotReady) else pause
        await asyncio.sleep(min(pause * random.uniform(0.5, 1.5), max(0.0, left)))  # noqa: S311 - jitter
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


async def _attempt(tracker: TrackerClient, record: Record, wait_seconds: float) -> Prepared:
    wish = record.destination_format
    image: ImageDocument | None = None
    with contextlib.suppress(ImageUnknown):
        image = await tracker.show_image(record.image_id)
    variant = choose_variant(image, wish)
    if image is None:
        wait_seconds = min(wait_seconds, _FIRST_WAIT_SECONDS)
    data = await tracker.fetch_torrent(record.image_id, variant, wait_seconds=wait_seconds)
    # Only now is it sure to know the variant's hash, and the format of an image it had to look up.
    image = await tracker.show_image(record.image_id)
    if choose_variant(image, wish) is not variant:
        raise ImageNotReady(f"the raw form of image {record.image_id} is to be asked for")
    torrent = metainfo.parse(data)
    check_torrent(torrent, record.image_id, variant)
    return Prepared(torrent, image.variant(variant))


def check_torrent(torrent: metainfo.Metainfo, image_id: str, variant: Variant) -> None:
    """Raise MetainfoError unless ``torrent`` is that of this variant of this image."""
    if torrent.name != (image_id, variant):
        raise MetainfoError(
            f"the tracker sent the torrent {torrent.name} for {image_id}.{variant.value}"
        )
