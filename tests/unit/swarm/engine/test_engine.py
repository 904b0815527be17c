"""The engine on real sockets and files: two or three sessions on loopback addresses."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

import libtorrent as lt
import pytest

from swarm.deadline import within
from swarm.engine import Engine, EngineSettings, Torrent, resume
from swarm.errors import ConfigurationError, Conflict, NoSpace, StorageFailed
from tests.images import torrent_of, write_random
from tests.small_disk import small_file_system
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from swarm.metainfo import Metainfo

#: Nobody listens there: the tests introduce the peers themselves.
NO_TRACKER = "http://127.0.0.1:1/announce"
MIB = 1 << 20
#: Not a multiple of anything.
SIZE = 8 * MIB + 4321


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a file of random bytes."""
    return write_random(tmp_path / "source", SIZE)


@pytest.fixture
def torrent(source: Path) -> Metainfo:
    """Return the torrent of it."""
    return torrent_of(source)


@contextlib.asynccontextmanager
async def engines(count: int, **settings: int) -> AsyncIterator[list[Engine]]:
    """Run engines on 127.0.0.2, .3 and so on."""
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                Engine(EngineSettings(listen_address=f"127.0.0.{2 + n}", listen_port=0, **settings))
            )
            for n in range(count)
        ]


def meet(torrent: Torrent, other: Engine) -> None:
    """Introduce ``torrent`` to ``other``; in production the tracker does."""
    torrent.handle.connect_peer((other.settings.listen_address, other.port))


async def fetch(torrent: Torrent, seeder: Engine) -> None:
    """Download the rest from ``seeder``, until the file has it all."""
    meet(torrent, seeder)
    await within(20, torrent.finished())
    await torrent.flush()


def test_a_flushed_file_is_whole(tmp_path: Path, source: Path, torrent: Metainfo) -> None:
    """After finished() and flush() the file has every byte, and the figures say so."""

    async def run() -> None:
        async with engines(2) as (one, two):
            seed = await one.add(torrent, source, announce_url=NO_TRACKER, have_all=True)
            copy = await two.add(torrent, tmp_path / "copy", announce_url=NO_TRACKER)
            await fetch(copy, one)
            assert (tmp_path / "copy").read_bytes() == source.read_bytes()
            await until(lambda: copy.progress().done == SIZE, what="all bytes done")
            assert copy.progress().downloaded >= SIZE
            await until(lambda: seed.progress().uploaded >= SIZE, what="uploads counted")

    asyncio.run(run())


def test_nothing_arrives_unless_peers_meet(tmp_path: Path, torrent: Metainfo, source: Path) -> None:
    """The negative control: no DHT, LSD or PEX brings two nodes together behind our back."""

    async def run() -> None:
        async with engines(2) as (one, two):
            await one.add(torrent, source, announce_url=NO_TRACKER, have_all=True)
            copy = await two.add(torrent, tmp_path / "copy", announce_url=NO_TRACKER)
            with pytest.raises(asyncio.TimeoutError):
                await within(2, copy.finished())
            assert copy.progress().downloaded == 0
            assert copy.progress().peers == 0

    asyncio.run(run())


def test_a_renamed_file_is_seeded_on(tmp_path: Path, source: Path, torrent: Metainfo) -> None:
    """After the caller linked the file elsewhere, a third node gets it from there."""

    async def run() -> None:
        async with engines(3) as (one, two, three):
            await one.add(torrent, source, announce_url=NO_TRACKER, have_all=True)
            part, final = tmp_path / "image.part", tmp_path / "instances" / "image"
            copy = await two.add(torrent, part, announce_url=NO_TRACKER)
            await fetch(copy, one)
            final.parent.mkdir()
            os.link(part, final)
            part.unlink()
            await copy.renamed(final)
            assert not part.exists()
            third = await three.add(torrent, tmp_path / "third", announce_url=NO_TRACKER)
            await fetch(third, two)
            assert (tmp_path / "third").read_bytes() == source.read_bytes()

    asyncio.run(run())


def test_a_file_is_served_while_it_gets_another_name(
    tmp_path: Path, source: Path, torrent: Metainfo
) -> None:
    """What is asked for after the unlink and before renamed() is served, if it is held open."""

    async def run() -> None:
        async with engines(3) as (one, two, three):
            seed = await one.add(torrent, source, announce_url=NO_TRACKER, have_all=True)
            part, final = tmp_path / "image.part", tmp_path / "image"
            copy = await two.add(torrent, part, announce_url=NO_TRACKER)
            await fetch(copy, one)
            await seed.remove()
            await copy.hold_open()
            os.link(part, final)
            part.unlink()
            third = await three.add(torrent, tmp_path / "third", announce_url=NO_TRACKER)
            await fetch(third, two)
            await copy.renamed(final)
            assert not part.exists()
            assert (tmp_path / "third").read_bytes() == source.read_bytes()

    asyncio.run(run())


def test_an_answer_goes_to_whoever_asked(source: Path, torrent: Metainfo) -> None:
    """A flush that its caller gave up must not answer the next one, which covers more bytes."""

    async def run() -> None:
        async with engines(1) as (one,):
            seed = await one.add(torrent, source, announce_url=NO_TRACKER, have_all=True)
            await seed.flush()
            waiting: list[int] = []
            hear = seed.hear

            def listen(alert: lt.alert) -> None:
                hear(alert)
                if alert.what() == "cache_flushed":
                    waiting.append(len(seed._flushes))

            seed.hear = listen  # type: ignore[method-assign]
            # No answer is read before both questions are asked.
            asyncio.get_running_loop().remove_reader(one._pump._read_end)
            given_up = asyncio.create_task(seed.flush())
            await asyncio.sleep(0)
            given_up.cancel()
            again = asyncio.create_task(seed.flush())
            await asyncio.wait({given_up})
            await asyncio.sleep(0)
            asyncio.get_running_loop().add_reader(one._pump._read_end, one._pump._drain)
            await within(20, again)
            assert given_up.cancelled()
            # libtorrent flushes a new seed of its own accord, and its alert may come here too.
            assert waiting[:2] == [1, 0]

    asyncio.run(run())


def test_resume_data_spare_the_pieces(tmp_path: Path, source: Path, torrent: Metainfo) -> None:
    """What resume data claim is there, and is not downloaded again."""

    async def run() -> None:
        path = tmp_path / "copy"
        async with engines(1, upload_limit=2 * MIB) as (one,):
            await one.add(torrent, source, announce_url=NO_TRACKER, have_all=True)
            async with Engine(EngineSettings(listen_address="127.0.0.9", listen_port=0)) as first:
                copy = await first.add(torrent, path, announce_url=NO_TRACKER)
                meet(copy, one)
                await until(lambda: copy.progress().done > 2 * MIB, what="a quarter is there")
                blob = await copy.save_resume()
                saved = copy.progress().done
                assert blob is not None
                assert saved < SIZE
            async with Engine(EngineSettings(listen_address="127.0.0.9", listen_port=0)) as second:
                copy = await second.add(torrent, path, announce_url=NO_TRACKER, resume=blob)
                await fetch(copy, one)
                assert path.read_bytes() == source.read_bytes()
                missing = SIZE - saved
                await until(lambda: copy.progress().done == SIZE, what="all bytes done")
                assert copy.progress().downloaded <= missing + 2 * MIB

    asyncio.run(run())


def test_resume_data_of_another_boot_are_not_believed(
    tmp_path: Path, source: Path, torrent: Metainfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host crash loses page cache: claims from before it are checked against the file."""

    async def run() -> None:
        path = write_random(tmp_path / "copy", SIZE)
        async with engines(2) as (one, two):
            await one.add(torrent, source, announce_url=NO_TRACKER, have_all=True)
            copy = await two.add(torrent, path, announce_url=NO_TRACKER)
            await within(20, copy.finished())
            blob = await copy.save_resume()
            await copy.remove()
            with path.open("r+b") as file:
                file.write(bytes(2 * MIB))  # what the crash took
            monkeypatch.setattr("swarm.engine.resume.boot_id", lambda: b"the next boot")
            again = await two.add(torrent, path, announce_url=NO_TRACKER, resume=blob)
            await until(lambda: again.progress().done >= SIZE - 3 * MIB, what="checked")
            assert again.progress().done < SIZE
            await fetch(again, one)
            assert path.read_bytes() == source.read_bytes()

    asyncio.run(run())


@pytest.mark.parametrize("blob", [b"", b"junk", b"d4:booti1ee", b"de", resume.pack([True] * 7)])
def test_broken_resume_data_are_ignored(
    tmp_path: Path, source: Path, torrent: Metainfo, blob: bytes
) -> None:
    """A damaged blob costs a check of the file, nothing else."""

    async def run() -> None:
        async with engines(2) as (one, two):
            await one.add(torrent, source, announce_url=NO_TRACKER, have_all=True)
            copy = await two.add(torrent, tmp_path / "c", announce_url=NO_TRACKER, resume=blob)
            await fetch(copy, one)
            assert (tmp_path / "c").read_bytes() == source.read_bytes()

    asyncio.run(run())


def test_claims_for_a_file_that_is_gone_are_not_believed(
    tmp_path: Path, source: Path, torrent: Metainfo
) -> None:
    """Resume data that claim everything, and no file: everything is fetched."""
    everything = resume.pack([True] * torrent.piece_count)

    async def run() -> None:
        async with engines(2) as (one, two):
            await one.add(torrent, source, announce_url=NO_TRACKER, have_all=True)
            path = tmp_path / "copy"
            copy = await two.add(torrent, path, announce_url=NO_TRACKER, resume=everything)
            await fetch(copy, one)
            assert path.read_bytes() == source.read_bytes()

    asyncio.run(run())


def test_complete_resume_data_finish_at_once(source: Path, torrent: Metainfo) -> None:
    """A crash after the last piece: nobody has to be met."""
    everything = resume.pack([True] * torrent.piece_count)

    async def run() -> None:
        async with engines(1) as (one,):
            copy = await one.add(torrent, source, announce_url=NO_TRACKER, resume=everything)
            await within(5, copy.finished())
            await copy.flush()

    asyncio.run(run())


def test_nothing_is_saved_twice(source: Path, torrent: Metainfo) -> None:
    """save_resume() says None when no piece came since."""

    async def run() -> None:
        async with engines(1) as (one,):
            copy = await one.add(torrent, source, announce_url=NO_TRACKER)
            await within(20, copy.finished())
            blob = await copy.save_resume()
            assert blob == resume.pack([True] * torrent.piece_count)
            assert await copy.save_resume() is None

    asyncio.run(run())


def test_a_sparse_file_is_not_hashed_first(tmp_path: Path, source: Path) -> None:
    """A new file is sparse, and taken as empty: a 1 TiB image starts at once."""

    async def run() -> None:
        path = tmp_path / "copy"
        async with engines(1) as (one,):
            copy = await one.add(torrent_of(source), path, announce_url=NO_TRACKER)
            states = lt.torrent_status.states
            seen: list[lt.torrent_status.states] = []

            def is_downloading() -> bool:
                seen.append(copy.handle.status().state)
                return seen[-1] == states.downloading

            await until(is_downloading, what="it wants pieces")
            assert states.checking_files not in seen
            assert path.stat().st_size == SIZE
            assert path.stat().st_blocks == 0

    asyncio.run(run())


def test_upload_limit_holds_on_loopback(tmp_path: Path, source: Path, torrent: Metainfo) -> None:
    """LAN and loopback peers obey the session's limit, which by default they do not."""

    async def run() -> None:
        async with engines(1, upload_limit=2 * MIB) as (one,), engines_at("127.0.0.8") as two:
            await one.add(torrent, source, announce_url=NO_TRACKER, have_all=True)
            copy = await two.add(torrent, tmp_path / "copy", announce_url=NO_TRACKER)
            start = asyncio.get_running_loop().time()
            await fetch(copy, one)
            # 8 MiB at 2 MiB/s; the token bucket may be ahead by a second.
            assert asyncio.get_running_loop().time() - start > 2.5

    asyncio.run(run())


@contextlib.asynccontextmanager
async def engines_at(address: str) -> AsyncIterator[Engine]:
    """Run one engine at ``address``."""
    async with Engine(EngineSettings(listen_address=address, listen_port=0)) as engine:
        yield engine


def test_a_vanished_file_is_reported(tmp_path: Path, source: Path, torrent: Metainfo) -> None:
    """A seed whose file is gone says so, instead of starving its peers in silence."""

    async def run() -> None:
        async with engines(2) as (one, two):
            seed = await one.add(torrent, source, announce_url=NO_TRACKER, have_all=True)
            await seed.finished()
            source.unlink()
            copy = await two.add(torrent, tmp_path / "copy", announce_url=NO_TRACKER)
            meet(copy, one)
            error = await within(20, seed.failed())
            assert isinstance(error, StorageFailed)
            assert str(source) in error.detail

    asyncio.run(run())


def test_a_full_disk_is_reported_as_such(tmp_path: Path, source: Path, torrent: Metainfo) -> None:
    """finished() or flush() raises NoSpace, and neither hangs, where there is no room."""

    async def run(small: Path) -> None:
        async with engines(2) as (one, two):
            await one.add(torrent, source, announce_url=NO_TRACKER, have_all=True)
            copy = await two.add(torrent, small / "copy", announce_url=NO_TRACKER)
            with pytest.raises(NoSpace):
                await fetch(copy, one)

    with small_file_system(tmp_path / "small", 4 * MIB) as small:
        asyncio.run(run(small))


def test_the_same_torrent_is_added_once(source: Path, torrent: Metainfo) -> None:
    """A second add is a conflict; after remove() it is free again."""

    async def run() -> None:
        async with engines(1) as (one,):
            seed = await one.add(torrent, source, announce_url=NO_TRACKER, have_all=True)
            assert one.torrent(torrent.info_hash) is seed
            with pytest.raises(Conflict):
                await one.add(torrent, source, announce_url=NO_TRACKER, have_all=True)
            await seed.remove()
            assert one.torrent(torrent.info_hash) is None
            await one.add(torrent, source, announce_url=NO_TRACKER, have_all=True)
            assert source.exists()

    asyncio.run(run())


def test_a_taken_port_is_a_configuration_error() -> None:
    """Who starts a second engine on one port is told so."""

    async def run() -> None:
        async with engines(1) as (one,):
            taken = EngineSettings(listen_address="127.0.0.2", listen_port=one.port)
            with pytest.raises(ConfigurationError, match=r"choose another.*listen_port"):
                async with Engine(taken):
                    pass

    asyncio.run(run())


def test_closing_wakes_who_waits(tmp_path: Path, torrent: Metainfo) -> None:
    """No waiter is left behind when the engine ends."""

    async def run() -> None:
        async with engines(1) as (one,):
            copy = await one.add(torrent, tmp_path / "copy", announce_url=NO_TRACKER)
            waiting = asyncio.ensure_future(copy.finished())
            await asyncio.sleep(0)
        with pytest.raises(StorageFailed, match="stopped"):
            await within(5, waiting)

    asyncio.run(run())
