"""`/readyz` says whether announces are answered, and if not, why not; `/healthz` goes on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from swarm import errors
from tests.redis_service import redis_service
from tests.unit.tracker import lab

if TYPE_CHECKING:
    from pathlib import Path


def test_a_tracker_without_its_store_says_so(tmp_path: Path) -> None:
    """With the store of swarms away announces are refused; the process is well."""

    async def scenario() -> None:
        with redis_service(tmp_path) as redis:
            async with lab.tracker_at(tmp_path / "state", swarms_url=redis.url) as t:
                assert await t.call("GET", "/readyz") == b'{"status":"ok"}'
                await asyncio.to_thread(redis.stop)
                with pytest.raises(errors.Unavailable, match=r"announces are refused: .* swarms"):
                    await t.call("GET", "/readyz")
                assert await t.call("GET", "/healthz") == b'{"status":"ok"}'

    asyncio.run(scenario())


def test_a_tracker_that_is_alone_is_ready(tmp_path: Path) -> None:
    """Its memory is always there."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            assert await t.call("GET", "/readyz") == b'{"status":"ok"}'

    asyncio.run(scenario())
