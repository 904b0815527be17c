"""Which variant, and patience with the tracker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from peer.transfers.preparation import check_torrent, choose_variant, prepare
from peer.transfers.transfer import Record
from swarm.deadline import within
from swarm.errors import ImageFailed, MetainfoError, TrackerUnreachable
from swarm.fleet import free_port
from swarm.messages import (
    DestinationFormat,
    ImageDescription,
    ImageDocument,
    Variant,
    VariantReport,
    VariantState,
)
from swarm.tracker_client import TrackerClient
from tests.images import IMAGE_ID, torrent_of, write_random
from tests.unit.peer.neighbourhood import publish, tracker_at

if TYPE_CHECKING:
    from pathlib import Path

AS_IS, RAW = DestinationFormat.AS_IS, DestinationFormat.RAW
RECORD = Record(id="t", image_id=IMAGE_ID, destination_url="file:///root/disk")


@pytest.mark.parametrize(
    ("disk_format", "wish", "variant"),
    [
        ("qcow2", AS_IS, Variant.ORIGINAL),
        ("qcow2", RAW, Variant.RAW),
        ("raw", AS_IS, Variant.ORIGINAL),
        ("raw", RAW, Variant.ORIGINAL),
        (None, AS_IS, Variant.ORIGINAL),
        (None, RAW, Variant.ORIGINAL),
    ],
)
def test_the_raw_variant_is_for_who_wants_it_and_lacks_it(
    disk_format: str | None, wish: DestinationFormat, variant: Variant
) -> None:
    """A raw image is its own raw form; an unknown one is asked for as it is."""
    image = None
    if disk_format is not None:
        image = ImageDocument(id=IMAGE_ID, name="image", size=1, disk_format=disk_format)
    assert choose_variant(image, wish) is variant


def test_a_torrent_that_is_published_later_is_waited_for(tmp_path: Path) -> None:
    """The image is unknown at first, with no seeder about; then it is published."""

    async def scenario() -> None:
        path = write_random(tmp_path / "image", 100_000)
        async with tracker_at(tmp_path) as tracker:
            waiting = asyncio.create_task(prepare(tracker, RECORD, timeout_seconds=20.0))
            _, pending = await asyncio.wait([waiting], timeout=0.5)
            assert pending
            published = await publish(tracker, path)
            prepared = await within(20.0, waiting)
            assert prepared.torrent == published
            assert prepared.variant is not None
            assert prepared.variant.hash_algo == "sha512"

    asyncio.run(scenario())


def test_a_conversion_that_failed_is_final(tmp_path: Path) -> None:
    """There is no use in waiting for it."""

    async def scenario() -> None:
        async with tracker_at(tmp_path) as tracker:
            await tracker.register_image(
                ImageDescription(id=IMAGE_ID, name="image", size=5, disk_format="raw")
            )
            report = VariantReport(state=VariantState.FAILED, reason="it is broken")
            await tracker.report_variant(IMAGE_ID, Variant.ORIGINAL, report)
            with pytest.raises(ImageFailed, match="it is broken"):
                await prepare(tracker, RECORD, timeout_seconds=20.0)

    asyncio.run(scenario())


def test_a_tracker_that_stays_away_is_given_up_after_the_timeout() -> None:
    """The error is the tracker's absence."""

    async def scenario() -> None:
        async with TrackerClient(f"http://127.0.0.1:{free_port('127.0.0.1')}") as tracker:
            with pytest.raises(TrackerUnreachable):
                await prepare(tracker, RECORD, timeout_seconds=0.5)

    asyncio.run(scenario())


def test_the_torrent_of_another_image_or_variant_is_refused(tmp_path: Path) -> None:
    """The name in the torrent must be what was asked for."""
    torrent = torrent_of(write_random(tmp_path / "image", 1000))
    check_torrent(torrent, IMAGE_ID, Variant.ORIGINAL)
    with pytest.raises(MetainfoError):
        check_torrent(torrent, IMAGE_ID, Variant.RAW)
    with pytest.raises(MetainfoError):
        check_torrent(torrent, IMAGE_ID.replace("6", "7"), Variant.ORIGINAL)
