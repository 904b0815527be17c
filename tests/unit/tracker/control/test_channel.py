"""The control channel: what it accepts, what it survives, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, web

from swarm import errors
from swarm.control_messages import FROM_TRACKER, Hello, Welcome
from swarm.messages import Convert, Refusal, Variant
from swarm.tracker_client import TrackerClient
from swarm.web import server
from swarm.web.routes import add_routes, anybody
from tests.unit.tracker import lab
from tests.waiting import until
from tracker.announce.announce import Announcer, Terms
from tracker.control.channel import Control
from tracker.control.reports import Reports
from tracker.control.roster import Roster
from tracker.demands import Demands, Wanted
from tracker.handout.uniform import Uniform
from tracker.swarms.memory import MemorySwarms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

HELLO = Hello(role="seeder", node="seeder-1").model_dump_json()
REFUSAL = Refusal(
    image_id=lab.IMAGE, variant=Variant.RAW, code="image_unknown", detail="no such image"
).model_dump_json()
#: What an orderly end may take on a busy machine; well below every time-out of ours but one.
SOON = 6.0


@contextlib.asynccontextmanager
async def channel(client: TrackerClient) -> AsyncIterator[ClientWebSocketResponse[bool]]:
    """Open a bare channel, which says nothing by itself."""
    async with client.session.ws_connect(f"{client.url}/v1/control") as socket:
        yield socket


async def greet(socket: ClientWebSocketResponse[bool]) -> Welcome:
    """Say hello and return the welcome."""
    await socket.send_str(HELLO)
    welcome = FROM_TRACKER.validate_json(await socket.receive_str(timeout=SOON))
    assert isinstance(welcome, Welcome)
    return welcome


@pytest.mark.parametrize("first", ["nonsense", '{"type": "hello"}', REFUSAL, b"\x00"])
def test_who_does_not_say_hello_is_turned_away(tmp_path: Path, first: str | bytes) -> None:
    """With the code for a violated policy."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t, channel(t) as socket:
            if isinstance(first, str):
                await socket.send_str(first)
            else:
                await socket.send_bytes(first)
            message = await socket.receive(timeout=SOON)
            assert message.type is WSMsgType.CLOSE
            assert message.data == 1008

    asyncio.run(scenario())


def test_malformed_messages_are_logged_and_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The channel goes on: the demand after them is refused over it as ever."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t, channel(t) as socket:
            await greet(socket)
            waiting = asyncio.create_task(t.fetch_torrent(lab.IMAGE, Variant.RAW, wait_seconds=50))
            demand = Convert.model_validate_json(await socket.receive_str(timeout=SOON))
            assert demand == Convert(image_id=lab.IMAGE, variant=Variant.RAW)
            await socket.send_str("nonsense")
            await socket.send_bytes(b"\xff\x00")
            await socket.send_str('{"type": "refusal"}')
            await socket.send_str(REFUSAL.replace(lab.IMAGE, lab.OTHER))  # nobody asked
            await socket.send_str(REFUSAL)
            with pytest.raises(errors.ImageUnknown):
                await waiting

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert sum("not understood" in record.message for record in caplog.records) == 3


def test_a_plain_request_is_refused(tmp_path: Path) -> None:
    """Without an upgrade there is no channel, and no 500."""

    async def scenario() -> None:
        async with (
            lab.tracker_at(tmp_path) as t,
            t.session.get(f"{t.url}/v1/control") as response,
        ):
            assert response.status == 400

    asyncio.run(scenario())


@contextlib.asynccontextmanager
async def narrow_control(demands: Demands) -> AsyncIterator[TrackerClient]:
    """Serve a control channel whose queue holds one demand."""
    swarms, roster = MemorySwarms(lifetime_seconds=60), Roster()
    announcer = Announcer(swarms, Terms(30, 5, 50, 100), policy=Uniform(), attendance=roster)
    reports = Reports(swarms, announcer, roster, refresh_seconds=30)
    control = Control(
        roster,
        reports,
        demands,
        group=announcer.group,
        rack_of=lambda _: b"",
        report_seconds=10,
        most_waiting=1,
    )
    app = web.Application()
    add_routes(app.router, control.routes(), anybody)
    async with (
        server.serving(app, address="127.0.0.1", port=0) as urls,
        TrackerClient(urls[0]) as client,
    ):
        yield client


@pytest.mark.parametrize(("demanded", "stays"), [(1, True), (2, False)])
def test_a_channel_whose_queue_is_full_is_given_up(demanded: int, *, stays: bool) -> None:
    """The queue has a bound; the seeder may connect again."""
    demands = Demands()
    images = [lab.IMAGE, lab.OTHER][:demanded]

    async def scenario() -> None:
        with contextlib.ExitStack() as stack:
            for image_id in images:
                stack.enter_context(demands.waiting_for(Wanted(image_id, Variant.RAW)))
            async with narrow_control(demands) as client, channel(client) as socket:
                await socket.send_str(HELLO)
                assert (await socket.receive(timeout=SOON)).type is WSMsgType.TEXT, "the welcome"
                message = await socket.receive(timeout=SOON)
                if stays:
                    assert message.type is WSMsgType.TEXT
                    assert demands.seeder_count == 1
                else:
                    assert (message.type, message.data) == (WSMsgType.CLOSE, 1013)
                    await until(lambda: not demands.seeder_count, what="the seeder's end")

    asyncio.run(scenario())


def test_a_seeder_that_hangs_up_is_forgotten(tmp_path: Path) -> None:
    """Who waits is told that there is no seeder, and not that the image is not ready."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            await t.register_image(lab.describe())
            async with lab.connected(t, lab.FakeNode()):
                with pytest.raises(errors.ImageNotReady):
                    await t.fetch_torrent(lab.IMAGE, Variant.RAW)

            async def is_gone() -> bool:
                try:
                    await t.fetch_torrent(lab.IMAGE, Variant.RAW)
                except errors.Unavailable as error:
                    return isinstance(error, errors.NoSeeder)
                return False

            deadline = time.monotonic() + SOON
            while not await is_gone():
                assert time.monotonic() < deadline

    asyncio.run(scenario())


def test_shutdown_lets_go_of_everybody(tmp_path: Path) -> None:
    """A waiting agent gets an error to retry on; a seeder that does not read can't delay it."""

    async def scenario() -> None:
        async with lab.stoppable_tracker(tmp_path) as (t, stop), channel(t) as deaf:
            await deaf.send_str(HELLO)
            async with lab.connected(t, lab.FakeNode(), name="seeder-2") as seeder:
                waiting = asyncio.create_task(
                    t.fetch_torrent(lab.IMAGE, Variant.RAW, wait_seconds=50)
                )
                await until(lambda: len(seeder.demands) == 1, what="the demand")
                start = time.monotonic()
                await stop()
                assert time.monotonic() - start < SOON
                with pytest.raises(errors.Unavailable):
                    await waiting

    asyncio.run(scenario())
