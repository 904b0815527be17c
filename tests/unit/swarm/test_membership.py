"""Engines that meet through the control channel alone: their announces go nowhere."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from swarm.deadline import within
from swarm.engine import Engine, EngineSettings
from swarm.errors import ImageUnknown
from swarm.membership import member
from swarm.tracker_client import TrackerClient
from tests.images import IMAGE_ID, write_random
from tests.unit.peer.neighbourhood import publish
from tests.unit.tracker import lab
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from swarm.membership import Membership
    from swarm.metainfo import Metainfo

#: Nobody listens there.
NO_TRACKER = "http://127.0.0.1:1/announce"
SIZE = (4 << 20) + 777


@contextlib.asynccontextmanager
async def node(
    tracker: TrackerClient, number: int, **settings: int
) -> AsyncIterator[tuple[Engine, Membership]]:
    """Run an engine at 127.0.0.<number> that is on the control channel."""
    address = f"127.0.0.{number}"
    async with (
        TrackerClient(tracker.url, local_address=address) as client,
        Engine(EngineSettings(listen_address=address, listen_port=0, **settings)) as engine,
        member(engine, client, role="agent", node=f"node-{number}") as membership,
    ):
        yield engine, membership


@contextlib.asynccontextmanager
async def stage(directory: Path) -> AsyncIterator[tuple[TrackerClient, Path, Metainfo]]:
    """Run a tracker with one published image, which nobody has yet."""
    source = write_random(directory / "source", SIZE)
    async with lab.tracker_at(directory) as tracker:
        yield tracker, source, await publish(tracker, source)


def test_who_joins_later_gets_it_from_who_was_there(tmp_path: Path) -> None:
    """The handout leads to a connection, and that to a whole file."""

    async def run() -> None:
        async with (
            stage(tmp_path) as (tracker, source, torrent),
            node(tracker, 2) as (one, _),
            node(tracker, 3) as (two, _),
        ):
            await one.add(torrent, source, announce_url=NO_TRACKER, have_all=True)
            copy = await two.add(torrent, tmp_path / "copy", announce_url=NO_TRACKER)
            await within(20, copy.finished())
            await copy.flush()
            assert (tmp_path / "copy").read_bytes() == source.read_bytes()

    asyncio.run(run())


def test_without_the_channel_nothing_arrives(tmp_path: Path) -> None:
    """The negative control: it is the channel that brings them together."""

    async def run() -> None:
        settings = [EngineSettings(listen_address=f"127.0.0.{n}", listen_port=0) for n in (2, 3)]
        async with (
            stage(tmp_path) as (_, source, torrent),
            Engine(settings[0]) as one,
            Engine(settings[1]) as two,
        ):
            await one.add(torrent, source, announce_url=NO_TRACKER, have_all=True)
            copy = await two.add(torrent, tmp_path / "copy", announce_url=NO_TRACKER)
            with pytest.raises(asyncio.TimeoutError):
                await within(2, copy.finished())

    asyncio.run(run())


def test_a_withdrawn_image_ends_the_transfer(tmp_path: Path) -> None:
    """At once, with the reason; nobody waits for pieces that nobody will send."""

    async def run() -> None:
        async with stage(tmp_path) as (tracker, _, torrent), node(tracker, 2) as (engine, member):
            copy = await engine.add(torrent, tmp_path / "copy", announce_url=NO_TRACKER)
            await until(lambda: member.is_connected, what="the channel is up")
            waiting = asyncio.ensure_future(copy.finished())
            await tracker.withdraw_image(IMAGE_ID)
            with pytest.raises(ImageUnknown, match="withdrawn"):
                await within(20, waiting)

    asyncio.run(run())


def test_who_is_blocked_is_not_talked_to(tmp_path: Path) -> None:
    """A running connection ends, and none is made until it is allowed again."""

    async def run() -> None:
        async with (
            stage(tmp_path) as (tracker, source, torrent),
            node(tracker, 2, upload_limit=100_000) as (one, _),
            node(tracker, 3) as (two, _),
        ):
            await one.add(torrent, source, announce_url=NO_TRACKER, have_all=True)
            copy = await two.add(torrent, tmp_path / "copy", announce_url=NO_TRACKER)
            await until(lambda: copy.progress().peers == 1, what="they are connected")
            two.block({"127.0.0.2/32"})
            await until(lambda: copy.progress().peers == 0, what="the connection ends")
            copy.connect([("127.0.0.2", one.port)])
            two.block(())
            await until(lambda: copy.progress().peers == 1, what="they are connected again")

    asyncio.run(run())


def test_the_slice_comes_first(tmp_path: Path) -> None:
    """Of two nodes that fetch at once, each begins with pieces that the other has last."""

    async def run() -> None:
        async with (
            stage(tmp_path) as (tracker, source, torrent),
            node(tracker, 2, upload_limit=400_000) as (seeder, _),
            node(tracker, 3) as (one, _),
            node(tracker, 4) as (two, _),
        ):
            copies = [
                await engine.add(torrent, tmp_path / name, announce_url=NO_TRACKER)
                for engine, name in ((one, "one"), (two, "two"))
            ]
            first = [{p for p, n in enumerate(pieces(c)) if n == 5} for c in copies]

            def are_dealt() -> bool:
                first[:] = [{p for p, n in enumerate(pieces(c)) if n == 5} for c in copies]
                return len(first[0]) + len(first[1]) == torrent.piece_count

            await until(are_dealt, what="the slices")
            assert not first[0] & first[1]
            await seeder.add(torrent, source, announce_url=NO_TRACKER, have_all=True)
            for copy in copies:
                await within(30, copy.finished())

    asyncio.run(run())


def pieces(torrent: object) -> list[int]:
    """Return libtorrent's own priorities of the pieces."""
    return list(torrent.handle.get_piece_priorities())  # type: ignore[attr-defined]


def test_when_the_channel_is_lost_announces_take_over(tmp_path: Path) -> None:
    """A node that comes later is met although no channel is open any more."""

    async def run() -> None:
        async with contextlib.AsyncExitStack() as stack:
            async with stage(tmp_path) as (tracker, source, torrent):
                port = int(tracker.url.rpartition(":")[2])
                url = tracker.announce_url
                one, membership = await stack.enter_async_context(node(tracker, 2))
                await one.add(torrent, source, announce_url=url, have_all=True)
                await until(lambda: membership.is_connected, what="the channel is up")
            await until(lambda: not membership.is_connected, what="the channel is down")
            # A tracker of old: it knows announces only.
            async with lab.announce_tracker(port, torrent.announce_hash):
                settings = EngineSettings(listen_address="127.0.0.3", listen_port=0)
                two = await stack.enter_async_context(Engine(settings))
                copy = await two.add(torrent, tmp_path / "copy", announce_url=url)
                await within(55, copy.finished())

    asyncio.run(run())
