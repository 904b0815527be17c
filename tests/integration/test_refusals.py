"""Bad input to running services: a clear error with a code, and nothing written."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from swarm import bencode, errors
from swarm.http_client import HttpClient
from tests.images import write_random
from tests.integration.deployment import Deployment, deployment, fetch, to_file

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

pytestmark = pytest.mark.timeout(120)

NOBODYS = "00000000-0000-4000-8000-000000000000"
UNPUBLISHED = "/announce?info_hash=" + "%00" * 20 + "&peer_id=" + "x" * 20 + "&port=1&left=0"


def with_image(directory: Path, scene: Callable[[Deployment], Awaitable[None]]) -> None:
    """Run ``scene`` in a deployment whose seeder has one image, ``disk.raw``."""
    images = directory / "images"
    images.mkdir()
    write_random(images / "disk.raw", 1 << 20)

    async def run() -> None:
        async with deployment(directory) as running:
            await running.start_seeder(conf=f"directory = {images}\n")
            await scene(running)

    asyncio.run(run())


def test_an_unknown_image_is_404(tmp_path: Path) -> None:
    """At the tracker and at the agent, with the code image_unknown."""

    async def scene(running: Deployment) -> None:
        with pytest.raises(errors.ImageUnknown):
            await running.api.show_image(NOBODYS)
        agent = await running.start_agent(1)
        with pytest.raises(errors.ImageUnknown):
            await fetch(agent, to_file(running.target(1, "disk"), NOBODYS))
        assert list(running.target(1, "").iterdir()) == []

    with_image(tmp_path, scene)


def test_a_destination_out_of_bounds_is_refused(tmp_path: Path) -> None:
    """Outside the roots, through a symbolic link, or existing: refused, nothing written."""

    async def scene(running: Deployment) -> None:
        image = await running.published("disk.raw")
        agent = await running.start_agent(1)
        root, outside = running.target(1, ""), tmp_path / "outside"
        outside.mkdir()
        (root / "link").symlink_to(outside)
        (root / "there").write_text("mine")
        (root / "dangling").symlink_to(outside / "nothing")
        refused = {
            outside / "disk": errors.DestinationOutsideRoots,
            root / "link" / "disk": errors.DestinationOutsideRoots,
            root / "there": errors.DestinationExists,
            root / "dangling": errors.DestinationExists,
            root / "no" / "such" / "directory": errors.DestinationRefused,
        }
        for target, error in refused.items():
            with pytest.raises(error):
                await fetch(agent, to_file(target, image.id))
        assert list(outside.iterdir()) == []
        assert sorted(path.name for path in root.iterdir()) == ["dangling", "link", "there"]
        assert (root / "there").read_text() == "mine"

    with_image(tmp_path, scene)


@pytest.mark.parametrize(
    "query",
    [
        "/announce",
        "/announce?info_hash=short",
        "/announce?info_hash=" + "%ff" * 20,
        UNPUBLISHED,
        UNPUBLISHED.replace("port=1", "port=99999"),
        UNPUBLISHED.replace("left=0", "left=-1"),
        "/scrape?info_hash=%zz",
    ],
)
def test_a_bad_announce_is_a_failure_reason(tmp_path: Path, query: str) -> None:
    """Malformed, or for a torrent that is not published: bencoded, with a reason, status 200."""

    async def run() -> None:
        async with deployment(tmp_path) as running, HttpClient(running.tracker.url) as client:
            answer = bencode.decode(await client.call("GET", query))
            assert isinstance(answer, dict)
            assert answer[b"failure reason"]

    asyncio.run(run())
