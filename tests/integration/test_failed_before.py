"""A failure lasts until the seeder is started again, not for ever."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from swarm.messages import TransferState, VariantState
from tests.glance_service import glance_service
from tests.images import write_random
from tests.integration.deployment import deployment, fetch, to_file

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)


def test_a_mended_image_is_converted_after_a_restart(tmp_path: Path) -> None:
    """Corrupt, failed, mended in the store, seeder started again: fetched on demand."""
    source = write_random(tmp_path / "source", 1 << 20)

    async def run(glance_url: str, image_id: str, mend: bytes, store: Path) -> None:
        conf = (
            "source = glance\nconvert = on_demand\n"
            f"[glance]\nauth_type = none\nendpoint_override = {glance_url}\n"
        )
        async with deployment(tmp_path) as running:
            seeder = await running.start_seeder(conf=conf)
            agent = await running.start_agent(1)
            wish = to_file(running.target(1, "disk"), image_id)
            assert (await fetch(agent, wish)).state is TransferState.FAILED
            await running.variant_in_state(image_id, VariantState.FAILED)
            store.write_bytes(mend)
            # Without a restart it stays failed, however often it is asked for.
            assert (await fetch(agent, wish)).state is TransferState.FAILED
            await seeder.kill()
            await running.start_seeder(conf=conf)
            await running.variant_in_state(image_id, VariantState.KNOWN)
            ended = await fetch(agent, wish)
            assert ended.state is TransferState.COMPLETE, ended
            assert running.target(1, "disk").read_bytes() == mend

    with glance_service(tmp_path / "glance", show_image_direct_url=False) as glance:
        image_id = glance.create_image("mended", source, "raw")
        glance.corrupt(image_id)
        asyncio.run(run(glance.url, image_id, source.read_bytes(), glance.store_dir / image_id))
