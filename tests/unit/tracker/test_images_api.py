"""`/v1/images` through the real application, client and database."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

import pytest

from swarm import errors
from swarm.messages import Variant, VariantReport, VariantState
from tests.unit.tracker import lab

if TYPE_CHECKING:
    from pathlib import Path

    from swarm.tracker_client import TrackerClient

ABSENT = "ffffffff-0000-4000-8000-00000000dead"


def report(state: str, reason: str | None = None) -> VariantReport:
    """Return a seeder's report."""
    return VariantReport.model_validate({"state": state, "reason": reason})


async def state_of(client: TrackerClient, variant: Variant = Variant.ORIGINAL) -> VariantState:
    """Return the state of a variant of the image."""
    document = (await client.show_image(lab.IMAGE)).variant(variant)
    assert document is not None
    return document.state


def test_registered_images_are_listed_newest_first(tmp_path: Path) -> None:
    """All of them, or those of one name; the newest of a name is what the name means."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            assert await t.list_images() == []
            ids = [f"00000000-0000-4000-8000-{n:012d}" for n in (3, 1, 2)]
            for image_id, name in zip(ids, ("a", "b", "b"), strict=True):
                await t.register_image(lab.describe(image_id, name=name))
            assert [image.id for image in await t.list_images()] == ids[::-1]
            assert [image.id for image in await t.list_images(name="b")] == ids[:0:-1]
            assert (await t.find_image("b")).id == ids[2]
            assert (await t.find_image(ids[0])).name == "a"
            await t.register_image(lab.describe(ids[1], name=ids[0]))
            assert (await t.find_image(ids[0])).name == "a", "a name that looks like an id"
            with pytest.raises(errors.ImageUnknown):
                await t.find_image(ABSENT)
            for unknown in ("c", lab.IMAGE.upper()):
                with pytest.raises(errors.ImageUnknown, match=f"no image has the name '{unknown}'"):
                    await t.find_image(unknown)

    asyncio.run(scenario())


def test_a_description_changes_until_something_is_published(tmp_path: Path) -> None:
    """Afterwards only what torrents do not depend on; the name for one."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            await t.register_image(lab.describe(size=1, os_hash_value="00"))
            assert (await t.register_image(lab.describe())).size == len(lab.BYTES)
            await lab.publish(t)
            renamed = await t.register_image(lab.describe(name="new", disk_format="raw"))
            assert (renamed.name, renamed.disk_format) == ("new", "raw")
            for change in (
                {"size": 1},
                {"os_hash_value": "00"},
                {"os_hash_value": None},
                {"os_hash_algo": "sha256"},
            ):
                with pytest.raises(errors.Conflict):
                    await t.register_image(lab.describe(**change))
            assert (await t.show_image(lab.IMAGE)).os_hash_value == lab.describe().os_hash_value

    asyncio.run(scenario())


def test_a_published_torrent_is_what_is_fetched(tmp_path: Path) -> None:
    """Byte by byte; its figures stand in the image's document."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            await t.register_image(lab.describe())
            made = await lab.publish(t)
            assert await lab.publish(t) == made, "the same one twice is the same as once"
            assert await t.fetch_torrent(lab.IMAGE, Variant.ORIGINAL) == made.data
            document = (await t.show_image(lab.IMAGE)).variant(Variant.ORIGINAL)
            assert document is not None
            assert document.state is VariantState.PUBLISHED
            assert document.info_hash == made.info_hash.hex()
            assert (document.size, document.piece_length) == (len(lab.BYTES), 64 << 10)
            assert document.hash_value == hashlib.sha512(lab.BYTES).hexdigest()
            async with t.session.get(
                f"{t.url}/v1/images/{lab.IMAGE}/torrent?variant=original"
            ) as response:
                assert response.content_type == "application/x-bittorrent"

    asyncio.run(scenario())


def test_an_original_that_is_not_what_its_source_has_is_refused(tmp_path: Path) -> None:
    """Another size or another hash: nothing is published. The raw form may differ in both."""
    changed = lab.BYTES[:-1] + b"?"

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            await t.register_image(lab.describe())
            for data in (changed, lab.BYTES[1:]):
                with pytest.raises(errors.ImageCorrupt):
                    await lab.publish(t, data)
            assert (await t.show_image(lab.IMAGE)).variants == []
            await lab.publish(t, changed, variant=Variant.RAW)

    asyncio.run(scenario())


def test_a_hash_is_compared_only_with_one_of_its_kind(tmp_path: Path) -> None:
    """A source without a hash, or with one of another algorithm, leaves the size to check."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            for change in ({"os_hash_value": None}, {"os_hash_algo": "sha256"}):
                await t.register_image(lab.describe(**change))
                await lab.publish(t)
                await t.withdraw_image(lab.IMAGE)

    asyncio.run(scenario())


def test_another_torrent_of_the_same_variant_is_a_conflict(tmp_path: Path) -> None:
    """The first one stays."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            await t.register_image(lab.describe())
            first = await lab.publish(t, b"one" * 999, variant=Variant.RAW)
            with pytest.raises(errors.TorrentConflict):
                await lab.publish(t, b"two" * 999, variant=Variant.RAW)
            assert await t.fetch_torrent(lab.IMAGE, Variant.RAW) == first.data

    asyncio.run(scenario())


def test_what_is_not_a_torrent_of_the_variant_is_refused(tmp_path: Path) -> None:
    """Garbage, a torrent of another image or form, a hash that is none; nothing is published."""
    good = lab.torrent().data
    cases = [
        (b"garbage", "original", "ab", errors.BencodeError),
        (b"de", "original", "ab", errors.MetainfoError),
        (lab.torrent(image_id=lab.OTHER).data, "original", "ab", errors.MetainfoError),
        (good, "raw", "ab", errors.MetainfoError),
        (good, "original", "not hex", errors.MalformedRequest),
        (good, "original", "", errors.MalformedRequest),
        (good, "cooked", "ab", errors.MalformedRequest),
    ]

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            await t.register_image(lab.describe())
            for data, variant, digest, error in cases:
                query = {"variant": variant, "hash_algo": "sha512", "hash_value": digest}
                path = f"/v1/images/{lab.IMAGE}/torrent"
                with pytest.raises(error):
                    await t.call("PUT", path, body=data, query=query)
            assert (await t.show_image(lab.IMAGE)).variants == []

    asyncio.run(scenario())


def test_reports_move_a_variant_until_it_is_published(tmp_path: Path) -> None:
    """Back from failed as well; a published one stays."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            await t.register_image(lab.describe())
            for state in ("known", "converting", "failed", "converting", "failed", "known"):
                await t.report_variant(lab.IMAGE, Variant.ORIGINAL, report(state, "why"))
                assert (await state_of(t)).value == state
            await t.report_variant(lab.IMAGE, Variant.ORIGINAL, report("failed", "why"))
            await lab.publish(t)
            await t.report_variant(lab.IMAGE, Variant.ORIGINAL, report("failed", "late"))
            document = (await t.show_image(lab.IMAGE)).variant(Variant.ORIGINAL)
            assert document is not None
            assert (document.state, document.reason) == (VariantState.PUBLISHED, None)

    asyncio.run(scenario())


def test_nothing_is_written_about_an_image_that_is_not_registered(tmp_path: Path) -> None:
    """Reports, torrents and withdrawals of an unknown image are 404, a malformed id too."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            for image_id in (lab.IMAGE, "not-an-id"):
                with pytest.raises(errors.ImageUnknown):
                    await t.report_variant(image_id, Variant.RAW, report("known"))
                with pytest.raises(errors.ImageUnknown):
                    await t.withdraw_image(image_id)
                with pytest.raises(errors.ImageUnknown):
                    await t.show_image(image_id)
                with pytest.raises(errors.ImageUnknown):
                    await t.publish_torrent(
                        image_id,
                        Variant.ORIGINAL,
                        lab.torrent().data,
                        hash_algo="sha512",
                        hash_value="ab",
                    )
            assert await t.list_images() == []

    asyncio.run(scenario())


def test_a_withdrawn_image_is_gone(tmp_path: Path) -> None:
    """And can be registered anew, with other bytes."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            await t.register_image(lab.describe())
            await lab.publish(t)
            await t.withdraw_image(lab.IMAGE)
            assert await t.list_images() == []
            await t.register_image(lab.describe(size=999, os_hash_value=None))
            await lab.publish(t, b"new" * 333)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"/v1/images/{lab.IMAGE}", b"{"),
        (f"/v1/images/{lab.IMAGE}", b'{"id": "x"}'),
        (f"/v1/images/{lab.IMAGE}", lab.describe(lab.OTHER).model_dump_json().encode()),
        (f"/v1/images/{lab.IMAGE}", lab.describe().model_dump_json().encode()[:-1] + b',"a":1}'),
        (f"/v1/images/{lab.IMAGE}/variants/cooked", b'{"state": "known"}'),
        (f"/v1/images/{lab.IMAGE}/variants/raw", b'{"state": "published"}'),
        (f"/v1/images/{lab.IMAGE}/variants/raw", b'{"state": "known", "why": "?"}'),
    ],
)
def test_a_malformed_body_is_refused(tmp_path: Path, path: str, body: bytes) -> None:
    """400 with a code; nothing is written."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            with pytest.raises(errors.MalformedRequest):
                await t.call("PUT", path, body=body)
            assert await t.list_images() == []

    asyncio.run(scenario())


def test_many_seeders_at_once_leave_one_truth(tmp_path: Path) -> None:
    """Twenty register and publish the same image together: no error, one torrent."""

    async def one(client: TrackerClient) -> None:
        await client.register_image(lab.describe())
        await client.report_variant(lab.IMAGE, Variant.ORIGINAL, report("converting"))
        await lab.publish(client)

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            await asyncio.gather(*(one(t) for _ in range(20)))
            assert await state_of(t) is VariantState.PUBLISHED
            assert len(await t.list_images()) == 1

    asyncio.run(scenario())
