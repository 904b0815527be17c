"""Torrents of every version at the tracker: published, announced, replaced, withdrawn."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from swarm import errors
from swarm.messages import Variant
from swarm.torrent_version import TorrentVersion
from tests.unit.tracker import lab

if TYPE_CHECKING:
    from pathlib import Path

    from swarm.tracker_client import TrackerClient

V1, V2, HYBRID = TorrentVersion.V1, TorrentVersion.V2, TorrentVersion.HYBRID


async def is_admitted(client: TrackerClient, announce_hash: bytes) -> bool:
    """Tell whether an announce for ``announce_hash`` is answered with peers."""
    return b"peers" in await lab.announce(client, announce_hash, port=1)


@pytest.mark.parametrize("version", TorrentVersion)
def test_every_announce_hash_is_admitted(tmp_path: Path, version: TorrentVersion) -> None:
    """From the publication to the withdrawal, over a restart; of a hybrid both, apart."""

    async def scenario() -> None:
        hashes = lab.torrent(version=version).announce_hashes
        async with lab.tracker_at(tmp_path) as t:
            await t.register_image(lab.describe())
            assert not any([await is_admitted(t, one) for one in hashes]), "not published yet"
            made = await lab.publish(t, version=version)
            assert await t.fetch_torrent(lab.IMAGE, Variant.ORIGINAL) == made.data
            for one in hashes:
                answer = await lab.announce(t, one, port=1)
                assert answer[b"incomplete"] == 1, "a swarm of its own"
        async with lab.tracker_at(tmp_path) as t:
            assert all([await is_admitted(t, one) for one in hashes]), "after a restart"
            await t.withdraw_image(lab.IMAGE)
            assert not any([await is_admitted(t, one) for one in hashes]), "withdrawn"

    asyncio.run(scenario())


@pytest.mark.parametrize(("version", "digits"), [(V1, (40, 40)), (V2, (64, 0)), (HYBRID, (64, 40))])
def test_the_document_names_the_torrent(
    tmp_path: Path, version: TorrentVersion, digits: tuple[int, int]
) -> None:
    """By its v2 info-hash wherever there is one; what v1 clients announce stands beside it."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            await t.register_image(lab.describe())
            made = await lab.publish(t, version=version)
            document = (await t.show_image(lab.IMAGE)).variant(Variant.ORIGINAL)
            assert document is not None
            assert document.info_hash == made.info_hash.hex()
            assert (len(document.info_hash), len(document.info_hash_v1 or "")) == digits
            assert document.announce_hashes == set(made.announce_hashes)

    asyncio.run(scenario())


def test_another_version_is_another_torrent(tmp_path: Path) -> None:
    """It is a conflict until the image is withdrawn: agents hold the one that was published."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            await t.register_image(lab.describe())
            for version in (V2, HYBRID, V1):
                made = await lab.publish(t, version=version)
                for other in {V1, V2, HYBRID} - {version}:
                    with pytest.raises(errors.TorrentConflict):
                        await lab.publish(t, version=other)
                assert await t.fetch_torrent(lab.IMAGE, Variant.ORIGINAL) == made.data
                await t.withdraw_image(lab.IMAGE)
                assert not await is_admitted(t, made.announce_hash)
                await t.register_image(lab.describe())

    asyncio.run(scenario())
