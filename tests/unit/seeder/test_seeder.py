"""A whole seeder against a real tracker and a real engine, in the test's own loop."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from functools import partial
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession

from seeder import app
from seeder import options as seeder_options
from swarm import metainfo
from swarm.deadline import within
from swarm.engine import Engine, EngineSettings
from swarm.errors import ConfigurationError, ImageFailed, ImageRefused, ImageUnknown
from swarm.fleet import free_port
from swarm.messages import ImageDescription, Variant, VariantState
from swarm.seeder_client import SeederClient
from tests.unit.seeder.workshop import (
    IMAGE,
    Running,
    disk,
    eventually,
    qcow2,
    qemu_img,
    seeder_at,
    settled,
    tracker_at,
)
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PUBLISHED, FAILED = VariantState.PUBLISHED, VariantState.FAILED
MIB = 1 << 20


@contextlib.asynccontextmanager
async def seeder_with_tracker(tmp_path: Path, config: str = "") -> AsyncIterator[Running]:
    """Run both during the block."""
    async with (
        tracker_at(tmp_path / "tracker") as tracker,
        seeder_at(tmp_path, tracker, config) as seeder,
    ):
        yield seeder


def images_in(tmp_path: Path) -> Path:
    """Return the seeder's directory of images, made before it starts."""
    directory = tmp_path / "images"
    directory.mkdir()
    return directory


async def fetch(seeder: Running, image_id: str, variant: Variant, path: Path) -> bytes:
    """Download a variant as an agent does: torrent, announce, peers; return the bytes."""
    torrent = await seeder.tracker.fetch_torrent(image_id, variant, wait_seconds=20)
    async with Engine(EngineSettings(listen_address="127.0.0.2", listen_port=0)) as engine:
        path.touch()
        os.truncate(path, metainfo.parse(torrent).size)
        joined = await engine.add(
            metainfo.parse(torrent), path, announce_url=seeder.tracker.announce_url
        )
        await within(30, joined.finished())
        await joined.flush()
    return path.read_bytes()


def test_an_image_is_listed_converted_and_seeded(tmp_path: Path) -> None:
    """From a file in the directory to its bytes at a peer, with nobody asking."""
    data = os.urandom(3 * MIB + 7)
    settled(images_in(tmp_path) / f"{IMAGE}.img", data)

    async def scenario() -> None:
        async with seeder_with_tracker(tmp_path) as seeder:
            found = await seeder.variant(f"{IMAGE}.img", state=PUBLISHED)
            assert found.hash_value == hashlib.sha512(data).hexdigest()
            assert await fetch(seeder, IMAGE, Variant.ORIGINAL, tmp_path / "copy") == data
            # Read in place: no copy of it was staged.
            assert not (seeder.staging / f"{IMAGE}.original").exists()

    asyncio.run(scenario())


def test_a_wrong_hash_is_published_as_failed(tmp_path: Path) -> None:
    """The torrent is refused with the reason; nothing is seeded."""
    images = images_in(tmp_path)
    settled(images / f"{IMAGE}.img", b"these bytes")
    (images / f"{IMAGE}.img.sha512").write_text(hashlib.sha512(b"those bytes").hexdigest())

    async def scenario() -> None:
        async with seeder_with_tracker(tmp_path) as seeder:
            found = await seeder.variant(f"{IMAGE}.img", state=FAILED)
            assert "is on record" in (found.reason or "")
            with pytest.raises(ImageFailed):
                await seeder.tracker.fetch_torrent(IMAGE, Variant.ORIGINAL, wait_seconds=10)
            assert not list(seeder.staging.glob("*.torrent"))

    asyncio.run(scenario())


def test_on_demand_nothing_is_converted_unasked(tmp_path: Path) -> None:
    """The image is listed; its torrent is made once somebody asks for it."""
    settled(images_in(tmp_path) / f"{IMAGE}.img", os.urandom(MIB))

    async def scenario() -> None:
        async with seeder_with_tracker(tmp_path, "convert = on_demand") as seeder:
            listed = await eventually(seeder.tracker.list_images, what="the image is listed")
            assert listed[0].variants == []
            await seeder.tracker.fetch_torrent(IMAGE, Variant.ORIGINAL, wait_seconds=20)

    asyncio.run(scenario())


def test_the_raw_form_is_made_on_demand(tmp_path: Path) -> None:
    """A qcow2 image's raw variant is its disk; the original stays what it is."""
    raw = disk(4 * MIB)
    original = settled(qcow2(images_in(tmp_path) / f"{IMAGE}.qcow2", raw))

    async def scenario() -> None:
        async with seeder_with_tracker(tmp_path) as seeder:
            assert await fetch(seeder, IMAGE, Variant.RAW, tmp_path / "raw") == raw
            found = await seeder.variant(f"{IMAGE}.qcow2", Variant.RAW, state=PUBLISHED)
            assert found.hash_value == hashlib.sha512(raw).hexdigest()
            got = await fetch(seeder, IMAGE, Variant.ORIGINAL, tmp_path / "original")
            assert got == original.read_bytes()

    asyncio.run(scenario())


def test_eager_raw_of_an_unsafe_image_fails_and_the_rest_goes_on(tmp_path: Path) -> None:
    """One bad image is marked so; the next one is converted."""
    images = images_in(tmp_path)
    qemu_img("create", "-f", "qcow2", "-F", "raw", "-b", "/etc/hostname", images / "bad", "1M")
    settled(images / "bad")
    settled(qcow2(images / "good", os.urandom(MIB)))

    async def scenario() -> None:
        async with seeder_with_tracker(tmp_path, "variants = raw") as seeder:
            found = await seeder.variant("bad", Variant.RAW, state=FAILED)
            assert "backing" in (found.reason or "")
            await seeder.variant("good", Variant.RAW, state=PUBLISHED)
            assert not list(seeder.staging.glob("*.part"))

    asyncio.run(scenario())


def test_what_makes_no_sense_is_refused_at_once(tmp_path: Path) -> None:
    """The raw form of a raw image, and an image that there is not."""
    settled(images_in(tmp_path) / f"{IMAGE}.img", b"raw already")

    async def scenario() -> None:
        async with seeder_with_tracker(tmp_path) as seeder:
            await seeder.variant(f"{IMAGE}.img", state=PUBLISHED)
            with pytest.raises(ImageRefused, match="original variant"):
                await seeder.tracker.fetch_torrent(IMAGE, Variant.RAW, wait_seconds=10)
            with pytest.raises(ImageUnknown):
                await seeder.tracker.fetch_torrent(
                    "00000000-0000-4000-8000-000000000009", Variant.ORIGINAL, wait_seconds=10
                )

    asyncio.run(scenario())


def test_a_removed_image_is_withdrawn(tmp_path: Path) -> None:
    """From the tracker, the engine and the staging directory."""
    path = settled(qcow2(images_in(tmp_path) / f"{IMAGE}.qcow2", os.urandom(MIB)))

    async def scenario() -> None:
        async with seeder_with_tracker(tmp_path, "variants = original, raw") as seeder:
            await seeder.variant(path.name, Variant.RAW, state=PUBLISHED)
            path.unlink()
            await seeder.gone(IMAGE)
            await until(
                lambda: [entry.name for entry in seeder.staging.iterdir()] == ["lock"],
                what="staging is empty",
            )

    asyncio.run(scenario())


def test_what_went_while_the_seeder_was_away_is_withdrawn(tmp_path: Path) -> None:
    """It remembers what it registered."""
    path = settled(images_in(tmp_path) / f"{IMAGE}.img", b"bytes")

    async def scenario() -> None:
        async with tracker_at(tmp_path / "tracker") as tracker:
            async with seeder_at(tmp_path, tracker) as seeder:
                await seeder.variant(path.name, state=PUBLISHED)
            path.unlink()
            assert await tracker.list_images()
            async with seeder_at(tmp_path, tracker) as seeder:
                await seeder.gone(IMAGE)

    asyncio.run(scenario())


def test_a_source_that_is_away_withdraws_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An unreadable directory is not an empty one; once it is back, work goes on."""
    images = images_in(tmp_path)
    settled(images / f"{IMAGE}.img", b"bytes")

    async def scenario() -> None:
        async with seeder_with_tracker(tmp_path) as seeder:
            await seeder.variant(f"{IMAGE}.img", state=PUBLISHED)
            images.rename(tmp_path / "unmounted")
            await until(lambda: "can't be read" in caplog.text, what="the seeder has noticed")
            assert [image.id for image in await seeder.tracker.list_images()] == [IMAGE]
            settled(tmp_path / "unmounted" / "other.img", b"x")
            (tmp_path / "unmounted").rename(images)
            await seeder.variant("other.img", state=PUBLISHED)
            await seeder.variant(f"{IMAGE}.img", state=PUBLISHED)

    asyncio.run(scenario())


def test_nothing_is_hashed_twice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """After a restart the torrent is on record; it is published and seeded at once."""
    data = os.urandom(MIB)
    settled(images_in(tmp_path) / f"{IMAGE}.img", data)
    caplog.set_level("INFO")

    async def scenario() -> None:
        async with tracker_at(tmp_path / "tracker") as tracker:
            async with seeder_at(tmp_path, tracker) as seeder:
                await seeder.variant(f"{IMAGE}.img", state=PUBLISHED)
            async with seeder_at(tmp_path, tracker) as seeder:
                assert await fetch(seeder, IMAGE, Variant.ORIGINAL, tmp_path / "copy") == data

    asyncio.run(scenario())
    assert caplog.text.count("hashed ") == 1


def test_a_tracker_without_its_database_is_told_everything_again(tmp_path: Path) -> None:
    """Images and torrents come back with the control channel."""
    settled(images_in(tmp_path) / f"{IMAGE}.img", b"bytes")
    port = free_port("127.0.0.1")

    async def scenario() -> None:
        async with contextlib.AsyncExitStack() as stack:
            async with tracker_at(tmp_path / "first", port=port) as tracker:
                seeder = await stack.enter_async_context(seeder_at(tmp_path, tracker))
                await seeder.variant(f"{IMAGE}.img", state=PUBLISHED)
            async with tracker_at(tmp_path / "second", port=port) as tracker:
                seeder.tracker = tracker
                await seeder.variant(f"{IMAGE}.img", state=PUBLISHED)

    asyncio.run(scenario())


def test_a_file_changed_under_its_id_is_another_torrent(tmp_path: Path) -> None:
    """While the seeder was away, a file that is named for its image got other bytes."""
    path = settled(images_in(tmp_path) / f"{IMAGE}.img", b"these bytes")

    async def scenario() -> None:
        async with tracker_at(tmp_path / "tracker") as tracker:
            async with seeder_at(tmp_path, tracker) as seeder:
                before = await seeder.variant(path.name, state=PUBLISHED)
            path.write_bytes(b"other bytes")
            os.utime(path, (1, 1))
            async with seeder_at(tmp_path, tracker) as seeder:
                after = await eventually(
                    partial(seeder.variant, path.name, state=PUBLISHED),
                    lambda found: found.info_hash != before.info_hash,
                    what="another torrent is published",
                )
                assert after.hash_value == hashlib.sha512(b"other bytes").hexdigest()

    asyncio.run(scenario())


def test_a_damaged_raw_form_is_made_again(tmp_path: Path) -> None:
    """A staged file that was truncated is noticed at the next look, and seeded whole again."""
    raw = disk(MIB)
    settled(qcow2(images_in(tmp_path) / f"{IMAGE}.qcow2", raw))

    async def scenario() -> None:
        async with seeder_with_tracker(tmp_path, "variants = raw") as seeder:
            await seeder.variant(f"{IMAGE}.qcow2", Variant.RAW, state=PUBLISHED)
            staged = seeder.staging / f"{IMAGE}.raw"
            os.truncate(staged, 100)
            await until(lambda: staged.stat().st_size == len(raw), what="the raw form is back")
            assert await fetch(seeder, IMAGE, Variant.RAW, tmp_path / "copy") == raw

    asyncio.run(scenario())


def test_a_file_that_fails_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A staged file is lost, and a peer's request is the first to find out."""
    raw = disk(MIB)
    settled(qcow2(images_in(tmp_path) / f"{IMAGE}.qcow2", raw))

    async def scenario() -> None:
        async with seeder_with_tracker(tmp_path, "poll_interval = 3600\nvariants = raw") as seeder:
            await seeder.variant(f"{IMAGE}.qcow2", Variant.RAW, state=PUBLISHED)
            (seeder.staging / f"{IMAGE}.raw").unlink()
            assert await fetch(seeder, IMAGE, Variant.RAW, tmp_path / "copy") == raw

    asyncio.run(scenario())
    assert "its file failed" in caplog.text


def test_the_api_says_what_is_seeded(tmp_path: Path) -> None:
    """One entry for each torrent, with the time that hashing took."""
    settled(images_in(tmp_path) / f"{IMAGE}.img", b"bytes")
    port = free_port("127.0.0.1")

    async def scenario() -> None:
        async with (
            tracker_at(tmp_path / "tracker") as tracker,
            seeder_at(tmp_path, tracker, listen_port=port) as seeder,
            SeederClient(f"http://127.0.0.1:{port}") as client,
            ClientSession() as session,
        ):
            published = await seeder.variant(f"{IMAGE}.img", state=PUBLISHED)
            seeds = await eventually(client.list_seeds, what="it is seeded")
            assert [(seed.image_id, seed.info_hash) for seed in seeds] == [
                (IMAGE, published.info_hash)
            ]
            assert seeds[0].conversion_seconds is not None
            async with session.get(f"http://127.0.0.1:{port}/healthz") as answer:
                assert answer.status == 200

    asyncio.run(scenario())


def test_a_port_that_is_taken_is_a_configuration_error(tmp_path: Path) -> None:
    """The seeder does not start without its API."""

    async def scenario() -> None:
        async with tracker_at(tmp_path / "tracker") as tracker:
            port = int(tracker.url.rsplit(":", 1)[1])
            given = {
                "state_dir": str(tmp_path / "seeder"),
                "directory": str(tmp_path),
                "listen_port": port,
                "engine_port": 0,
            }
            conf = seeder_options.load([], given)
            with pytest.raises(ConfigurationError, match=str(port)):
                await app.serve(conf, asyncio.Event())

    asyncio.run(scenario())


def test_an_image_keeps_its_description(tmp_path: Path) -> None:
    """What the tracker lists is what the source said."""
    settled(images_in(tmp_path) / "debian.img", b"bytes")

    async def scenario() -> list[ImageDescription]:
        async with seeder_with_tracker(tmp_path) as seeder:
            await seeder.variant("debian.img", state=PUBLISHED)
            return list(await seeder.tracker.list_images())

    (image,) = asyncio.run(scenario())
    assert (image.name, image.size, image.disk_format) == ("debian.img", 5, "raw")
