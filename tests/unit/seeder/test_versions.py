"""`[seeder] torrent_version`: what is published, and what happens when it is changed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from swarm import metainfo
from swarm.deadline import within
from swarm.engine import Engine, EngineSettings
from swarm.errors import ConfigurationError, ImageUnknown, Unavailable
from swarm.messages import Variant, VariantState
from swarm.torrent_version import TorrentVersion
from tests.unit.seeder.workshop import (
    IMAGE,
    disk,
    eventually,
    qcow2,
    seeder_at,
    settled,
    tracker_at,
)
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from swarm.metainfo import Metainfo
    from swarm.tracker_client import TrackerClient
    from tests.unit.seeder.workshop import Running

V1, V2, HYBRID = TorrentVersion.V1, TorrentVersion.V2, TorrentVersion.HYBRID
PUBLISHED = VariantState.PUBLISHED
MIB = 1 << 20


async def published(tracker: TrackerClient, variant: Variant = Variant.ORIGINAL) -> Metainfo:
    """Return the torrent that the tracker has of the image."""
    return metainfo.parse(await tracker.fetch_torrent(IMAGE, variant))


async def fetched(seeder: Running, torrent: Metainfo, copy: Path) -> bytes:
    """Fetch a torrent from the seeder through its tracker, and return the bytes."""
    settings = EngineSettings(listen_address="127.0.0.7", listen_port=0)
    async with Engine(settings) as engine:
        announce_url = seeder.tracker.announce_url
        added = await engine.add(torrent, copy, announce_url=announce_url)
        await within(30, added.finished())
        await added.flush()
    return copy.read_bytes()


@pytest.mark.parametrize("version", TorrentVersion)
def test_the_configured_version_is_seeded(tmp_path: Path, version: TorrentVersion) -> None:
    """It is published, seeded, and fetched with nothing but the tracker's help."""
    data = disk(MIB)
    (tmp_path / "images").mkdir()
    settled(tmp_path / "images" / f"{IMAGE}.img", data)

    async def scenario() -> None:
        async with contextlib.AsyncExitStack() as stack:
            tracker = await stack.enter_async_context(tracker_at(tmp_path / "tracker"))
            config = f"torrent_version = {version.value}\n"
            seeder = await stack.enter_async_context(seeder_at(tmp_path, tracker, config))
            await seeder.variant(f"{IMAGE}.img", state=PUBLISHED)
            torrent = await published(tracker)
            assert torrent.version is version
            assert await fetched(seeder, torrent, tmp_path / "copy") == data

    asyncio.run(scenario())


def test_v2_is_the_default_and_nonsense_is_refused(tmp_path: Path) -> None:
    """A version that there is not is a configuration error."""
    (tmp_path / "images").mkdir()
    settled(tmp_path / "images" / f"{IMAGE}.img", b"bytes")

    async def scenario() -> None:
        async with tracker_at(tmp_path / "tracker") as tracker:
            async with seeder_at(tmp_path, tracker) as seeder:
                await seeder.variant(f"{IMAGE}.img", state=PUBLISHED)
                assert (await published(tracker)).version is V2
            with pytest.raises(ConfigurationError, match="torrent_version"):
                async with seeder_at(tmp_path, tracker, "torrent_version = v3\n"):
                    pass

    asyncio.run(scenario())


def test_a_changed_version_replaces_what_was_published(tmp_path: Path) -> None:
    """Both forms of an image, there and back; the raw form is hashed anew, not made anew."""
    raw = disk(MIB)
    (tmp_path / "images").mkdir()
    settled(qcow2(tmp_path / "images" / f"{IMAGE}.qcow2", raw))

    async def both_are(tracker: TrackerClient, version: TorrentVersion) -> None:
        async def versions() -> set[TorrentVersion]:
            with contextlib.suppress(ImageUnknown, Unavailable):  # just now it is being replaced
                states = (await tracker.show_image(IMAGE)).variants
                there = [document.variant for document in states if document.state is PUBLISHED]
                if len(there) == len(Variant):
                    return {(await published(tracker, variant)).version for variant in there}
            return set()

        await eventually(versions, lambda found: found == {version}, what=version.value)

    async def scenario() -> None:
        staged = tmp_path / "seeder" / "staging" / f"{IMAGE}.raw"
        inodes = set()
        async with tracker_at(tmp_path / "tracker") as tracker:
            for version in (V2, V1, HYBRID, V2):
                config = f"variants = original,raw\ntorrent_version = {version.value}\n"
                async with seeder_at(tmp_path, tracker, config) as seeder:
                    await both_are(tracker, version)
                    inodes.add(staged.stat().st_ino)
                    torrent = await published(tracker, Variant.RAW)
                    copy = tmp_path / f"{len(inodes)}-{version.value}"
                    assert await fetched(seeder, torrent, copy) == raw
                    copy.unlink()
        assert len(inodes) == 1, "qemu-img ran once"

    asyncio.run(scenario())


def test_a_torrent_of_somebody_else_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two seeders of one image that are configured differently: the first one's stays."""
    for name in ("one", "two"):
        (tmp_path / name / "images").mkdir(parents=True)
        settled(tmp_path / name / "images" / f"{IMAGE}.img", b"bytes")

    async def scenario() -> None:
        async with (
            tracker_at(tmp_path / "tracker") as tracker,
            seeder_at(tmp_path / "one", tracker) as seeder,
        ):
            await seeder.variant(f"{IMAGE}.img", state=PUBLISHED)
            before = await published(tracker)
            config = "torrent_version = v1\n"
            async with seeder_at(tmp_path / "two", tracker, config):
                await until(lambda: "another torrent" in caplog.text, what="it is refused")
            assert await published(tracker) == before
            assert before.version is V2

    asyncio.run(scenario())
