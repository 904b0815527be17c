"""Follows the source: what is new is registered and converted, what is gone is withdrawn.

It asks the source every few seconds. A source or a tracker that is away changes nothing: the next
listing catches up. After each connection to the tracker everything is said again, since a tracker
may have come back without its database.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from seeder.raw import check_has_raw_form
from swarm.blocking import in_thread
from swarm.deadline import within
from swarm.errors import ImageRefused, ImageUnknown, SourceUnreachable, SwarmError, Unavailable
from swarm.messages import Variant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from seeder.records import Records
    from seeder.seeding import Seeding
    from seeder.sources.source import Source
    from swarm.messages import ImageDescription
    from swarm.tracker_client import TrackerClient

_LOG = logging.getLogger(__name__)


class Plan(NamedTuple):
    """What one listing asks for."""

    #: Images to register: unknown ones, and known ones that are described differently now.
    new: list[ImageDescription]
    #: Ids to withdraw.
    gone: list[str]


def plan(listed: Iterable[ImageDescription], known: Mapping[str, ImageDescription | None]) -> Plan:
    """Compare a listing with what the tracker was told; None: it may have forgotten."""
    present = {image.id: image for image in listed}
    new = [image for image in present.values() if known.get(image.id) != image]
    return Plan(new, [image_id for image_id in known if image_id not in present])


def eager_variants(image: ImageDescription, configured: Iterable[Variant]) -> set[Variant]:
    """Return those of the configured variants that make sense for an image."""
    wanted = set(configured)
    if Variant.RAW in wanted:
        try:
            check_has_raw_form(image)
        except ImageRefused:
            wanted.remove(Variant.RAW)
    return wanted


class Discovery:
    """The loop that keeps tracker and seeding in step with the source.

    ``eager`` are the variants to make unasked; none for convert = on_demand.
    """

    def __init__(
        self,
        *,
        source: Source,
        seeding: Seeding,
        records: Records,
        tracker: TrackerClient,
        eager: Iterable[Variant],
        poll_seconds: float,
    ) -> None:
        self._source = source
        self._seeding = seeding
        self._records = records
        self._tracker = tracker
        self._eager = frozenset(eager)
        self._poll_seconds = poll_seconds
        # What an earlier run registered: an image that was deleted meanwhile is withdrawn.
        self._known: dict[str, ImageDescription | None]
        self._known = {image.id: None for image in records.images()}
        self._must_republish = False
        self._wake = asyncio.Event()
        self._complaint = ""

    def tracker_is_back(self) -> None:
        """Say everything again, now: the control channel was opened."""
        self._must_republish = True
        self._known = dict.fromkeys(self._known)
        self._wake.set()

    async def run(self) -> None:
        """Follow the source until cancelled."""
        while True:
            self._wake.clear()
            try:
                await self.look()
                self._complain("")
            except Unavailable as error:
                self._complain(error.detail)
            except SwarmError as error:
                _LOG.error("discovery: %s", error.detail)
            with contextlib.suppress(asyncio.TimeoutError):
                await within(self._poll_seconds, self._wake.wait())

    async def look(self) -> None:
        """List the source once and act on it."""
        try:
            listed = await self._source.list_images()
        except SourceUnreachable:
            # The tracker is told what is known already; nothing is taken for gone.
            await self._tell_tracker(plan(self._images_on_record(), self._known).new)
            raise
        new, gone = plan(listed, self._known)
        await self._tell_tracker(new)
        for image_id in gone:
            await self._withdraw(image_id)
        await self._seeding.remake_changed()
        for image in listed:
            on_record = self._records.variants(image.id)
            for variant in sorted(eager_variants(image, self._eager) | on_record):
                self._seeding.request(image, variant)

    def _images_on_record(self) -> list[ImageDescription]:
        return [image for image in self._records.images() if image.id in self._known]

    async def _tell_tracker(self, new: list[ImageDescription]) -> None:
        republish = self._must_republish
        for image in new:
            await self._register(image)
        if republish:
            await self._seeding.republish()
            self._must_republish = False

    async def _register(self, image: ImageDescription) -> None:
        try:
            await self._seeding.reopen(await self._tracker.register_image(image))
        except Unavailable:
            raise
        except SwarmError as error:
            _LOG.warning("image %s: the tracker refuses it: %s", image.id, error.detail)
            return
        await in_thread(partial(self._records.remember, image))
        if image.id not in self._known:
            _LOG.info("image %s (%s, %d bytes) is new", image.id, image.name, image.size)
        self._known[image.id] = image

    async def _withdraw(self, image_id: str) -> None:
        with contextlib.suppress(ImageUnknown):  # another seeder was first
            await self._tracker.withdraw_image(image_id)
        await self._seeding.withdraw(image_id)
        self._known.pop(image_id, None)
        _LOG.info("image %s is gone: withdrawn", image_id)

    def _complain(self, text: str) -> None:
        """Log a trouble when it begins and when it ends, not at each listing between."""
        if text and text != self._complaint:
            _LOG.warning("discovery: %s; trying again every %g s", text, self._poll_seconds)
        if self._complaint and not text:
            _LOG.info("discovery: all is well again")
        self._complaint = text
