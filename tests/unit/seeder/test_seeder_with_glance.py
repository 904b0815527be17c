"""A whole seeder whose source is a real Glance."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from swarm.messages import Variant, VariantState
from tests.glance_service import glance_service
from tests.unit.seeder.workshop import qcow2, seeder_at, tracker_at
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.glance_service import GlanceService

#: The first test that needs Glance may have to install it.
pytestmark = pytest.mark.timeout(600)

PUBLISHED, FAILED = VariantState.PUBLISHED, VariantState.FAILED
MIB = 1 << 20


def section(service: GlanceService) -> str:
    """Return the seeder's configuration for a Glance without Keystone."""
    return f"source = glance\n[glance]\nendpoint_override = {service.url}\n"


def test_from_upload_to_deletion(tmp_path: Path) -> None:
    """An image is streamed once, published with Glance's hash, and withdrawn when deleted."""
    path = qcow2(tmp_path / "image", os.urandom(3 * MIB))

    async def scenario(service: GlanceService) -> None:
        async with (
            tracker_at(tmp_path / "tracker") as tracker,
            seeder_at(tmp_path, tracker, f"variants=original,raw\n{section(service)}") as seeder,
        ):
            image_id = await asyncio.to_thread(service.create_image, "debian", path, "qcow2")
            found = await seeder.variant("debian", state=PUBLISHED)
            assert found.hash_value == service.show_image(image_id)["os_hash_value"]
            raw = await seeder.variant("debian", Variant.RAW, state=PUBLISHED)
            assert raw.size == 3 * MIB
            assert (seeder.staging / f"{image_id}.original").read_bytes() == path.read_bytes()
            assert service.downloads(image_id) == 1
            await asyncio.to_thread(service.delete_image, image_id)
            await seeder.gone(image_id)
            await until(
                lambda: [entry.name for entry in seeder.staging.iterdir()] == ["lock"],
                what="staging is empty",
            )

    with glance_service(tmp_path / "glance", show_image_direct_url=False) as service:
        asyncio.run(scenario(service))


def test_rotten_bytes_are_never_published(tmp_path: Path) -> None:
    """Streamed or in place: the image fails with the reason, and nothing is left of it."""
    path = tmp_path / "image"
    path.write_bytes(os.urandom(MIB))

    async def scenario(service: GlanceService) -> None:
        image_id = service.create_image("rotten", path, "raw")
        service.corrupt(image_id)
        async with (
            tracker_at(tmp_path / "tracker") as tracker,
            seeder_at(tmp_path, tracker, section(service)) as seeder,
        ):
            found = await seeder.variant("rotten", state=FAILED)
            assert "on record" in (found.reason or "")
            names = {entry.name for entry in seeder.staging.iterdir()}
            assert names == {"lock", f"{image_id}.json"}

    with glance_service(tmp_path / "glance", show_image_direct_url=False) as service:
        asyncio.run(scenario(service))


def test_a_mounted_store_is_read_in_place(tmp_path: Path) -> None:
    """Glance sends no byte, and no copy is made."""
    path = tmp_path / "image"
    path.write_bytes(os.urandom(MIB))

    async def scenario(service: GlanceService) -> None:
        image_id = service.create_image("debian", path, "raw")
        async with (
            tracker_at(tmp_path / "tracker") as tracker,
            seeder_at(tmp_path, tracker, section(service)) as seeder,
        ):
            await seeder.variant("debian", state=PUBLISHED)
            assert service.downloads(image_id) == 0
            assert not (seeder.staging / f"{image_id}.original").exists()

    with glance_service(tmp_path / "glance") as service:
        asyncio.run(scenario(service))
