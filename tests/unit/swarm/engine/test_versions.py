"""The engine with torrents of every version: what holds for v2 holds for v1 and hybrid."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from swarm.deadline import within
from swarm.engine import Engine, EngineSettings, Torrent, resume
from swarm.errors import Conflict
from swarm.torrent_version import TorrentVersion
from tests.images import torrent_of, write_random
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from swarm.metainfo import Metainfo

#: Nobody listens there: the tests introduce the peers themselves.
NO_TRACKER = "http://127.0.0.1:1/announce"
MIB = 1 << 20
#: Not a multiple of anything.
SIZE = 4 * MIB + 4321


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a file of random bytes."""
    return write_random(tmp_path / "source", SIZE)


@pytest.fixture(params=TorrentVersion, ids=lambda version: version.value)
def torrent(request: pytest.FixtureRequest, source: Path) -> Metainfo:
    """Return the torrent of it, in each version."""
    return torrent_of(source, version=request.param)


@contextlib.asynccontextmanager
async def two_engines() -> AsyncIterator[tuple[Engine, Engine]]:
    """Run two engines on loopback addresses of their own."""
    one = EngineSettings(listen_address="127.0.0.2", listen_port=0)
    two = EngineSettings(listen_address="127.0.0.3", listen_port=0)
    async with Engine(one) as first, Engine(two) as second:
        yield first, second


async def fetch(torrent: Torrent, seeder: Engine) -> None:
    """Download the rest from ``seeder``, until the file has it all."""
    torrent.handle.connect_peer((seeder.settings.listen_address, seeder.port))
    await within(20, torrent.finished())
    await torrent.flush()


def test_it_is_fetched_and_left(tmp_path: Path, source: Path, torrent: Metainfo) -> None:
    """A flushed file is whole; a removed torrent is forgotten, and its removal is noticed."""

    async def run() -> None:
        async with two_engines() as (one, two):
            await one.add(torrent, source, announce_url=NO_TRACKER, have_all=True)
            copy = await two.add(torrent, tmp_path / "copy", announce_url=NO_TRACKER)
            assert two.torrent(torrent.info_hash) is copy
            await fetch(copy, one)
            assert (tmp_path / "copy").read_bytes() == source.read_bytes()
            with pytest.raises(Conflict):
                await two.add(torrent, tmp_path / "copy", announce_url=NO_TRACKER)
            # Far below the ten seconds after which the engine would give up waiting for the alert.
            await within(5, copy.remove())
            assert two.torrent(torrent.info_hash) is None

    asyncio.run(run())


def test_resume_data_spare_the_pieces(tmp_path: Path, source: Path, torrent: Metainfo) -> None:
    """What resume data claim is not fetched again, and the rest is."""
    half = torrent.piece_count // 2
    claims = resume.pack([index < half for index in range(torrent.piece_count)])
    path = tmp_path / "copy"
    path.write_bytes(source.read_bytes()[: half * torrent.piece_length])
    with path.open("ab") as file:
        file.truncate(SIZE)

    async def run() -> None:
        async with two_engines() as (one, two):
            await one.add(torrent, source, announce_url=NO_TRACKER, have_all=True)
            copy = await two.add(torrent, path, announce_url=NO_TRACKER, resume=claims)
            await fetch(copy, one)
            assert path.read_bytes() == source.read_bytes()
            await until(lambda: copy.progress().done == SIZE, what="all bytes done")
            missing = SIZE - half * torrent.piece_length
            # v2 peers send hashes of the tree too, which do not count as payload.
            assert missing <= copy.progress().downloaded < missing + MIB

    asyncio.run(run())


def test_complete_resume_data_finish_at_once(source: Path, torrent: Metainfo) -> None:
    """A crash after the last piece: nobody has to be met."""
    everything = resume.pack([True] * torrent.piece_count)

    async def run() -> None:
        async with two_engines() as (one, _):
            copy = await one.add(torrent, source, announce_url=NO_TRACKER, resume=everything)
            await within(5, copy.finished())
            await copy.flush()
            assert await copy.save_resume() == everything

    asyncio.run(run())


def test_a_wrong_piece_is_found_and_fetched(
    tmp_path: Path, source: Path, torrent: Metainfo
) -> None:
    """A file that holds something is hashed against the torrent, whatever its version."""
    path = tmp_path / "copy"
    path.write_bytes(bytes(MIB) + source.read_bytes()[MIB:])

    async def run() -> None:
        async with two_engines() as (one, two):
            await one.add(torrent, source, announce_url=NO_TRACKER, have_all=True)
            copy = await two.add(torrent, path, announce_url=NO_TRACKER)
            await fetch(copy, one)
            assert path.read_bytes() == source.read_bytes()
            await until(lambda: copy.progress().downloaded >= MIB, what="the wrong MiB was fetched")
            assert copy.progress().downloaded < 2 * MIB

    asyncio.run(run())


def test_versions_of_one_image_are_apart(tmp_path: Path, source: Path) -> None:
    """An agent may still hold the torrent that was published before: both are in one engine."""
    torrents = [torrent_of(source, version=version) for version in TorrentVersion]

    async def run() -> None:
        async with two_engines() as (one, two):
            for made in torrents:
                await one.add(made, source, announce_url=NO_TRACKER, have_all=True)
            adding = [
                two.add(made, tmp_path / made.version.value, announce_url=NO_TRACKER)
                for made in torrents
            ]
            for copy in await asyncio.gather(*adding):
                await fetch(copy, one)
            for made in torrents:
                assert (tmp_path / made.version.value).read_bytes() == source.read_bytes()

    asyncio.run(run())
