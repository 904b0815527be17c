"""Announces through the real HTTP application, with the real store behind it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from swarm.messages import Variant
from swarm.tracker_client import TrackerClient
from tests.unit.tracker import lab
from tracker.announce.announce import Announcer, Terms
from tracker.announce.http import AnnounceHttp
from tracker.handout.uniform import Uniform
from tracker.swarms.memory import MemorySwarms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


async def published(client: TrackerClient) -> bytes:
    """Publish one torrent and return its announce hash."""
    await client.register_image(lab.describe())
    return (await lab.publish(client)).announce_hash


def test_peers_of_one_torrent_are_told_of_each_other(tmp_path: Path) -> None:
    """The second to announce gets the first, at the address it connected from."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path, announce_interval=31, min_announce_interval=4) as t:
            announce_hash = await published(t)
            first = await lab.announce(t, announce_hash, port=6881, source="127.0.0.2")
            second = await lab.announce(t, announce_hash, port=6881, source="127.0.0.3")
            assert 31 <= first.pop(b"interval") <= 33, "with jitter, upwards"
            assert first == {
                b"complete": 0,
                b"external ip": bytes([127, 0, 0, 2]),
                b"incomplete": 1,
                b"min interval": 4,
                b"peers": b"",
            }
            assert lab.addresses(second) == {("127.0.0.2", 6881)}
            assert second[b"incomplete"] == 2

    asyncio.run(scenario())


def test_a_torrent_that_is_not_published_is_refused(tmp_path: Path) -> None:
    """Before publication, for another hash, and after withdrawal."""
    refusal = {b"failure reason": b"this torrent is not published here"}

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            wanted = lab.torrent().announce_hash
            await t.register_image(lab.describe())
            assert await lab.announce(t, wanted, port=1) == refusal
            await lab.publish(t)
            assert b"interval" in await lab.announce(t, wanted, port=1)
            assert await lab.announce(t, b"x" * 20, port=1) == refusal
            await t.withdraw_image(lab.IMAGE)
            assert await lab.announce(t, wanted, port=1) == refusal

    asyncio.run(scenario())


def test_what_was_published_is_admitted_after_a_restart(tmp_path: Path) -> None:
    """The registry outlives the process; the swarm starts empty."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            announce_hash = await published(t)
            await lab.announce(t, announce_hash, port=1)
        async with lab.tracker_at(tmp_path) as t:
            answer = await lab.announce(t, announce_hash, port=2)
            assert (answer[b"incomplete"], answer[b"peers"]) == (1, b"")

    asyncio.run(scenario())


def test_a_peer_is_never_handed_itself(tmp_path: Path) -> None:
    """Not at its endpoint, whatever its peer id: a former run of it may be listed there."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            announce_hash = await published(t)
            await lab.announce(t, announce_hash, port=1, source="127.0.0.2", peer_id="a" * 20)
            stranger = await lab.announce(t, announce_hash, port=9, source="127.0.0.9")
            assert lab.addresses(stranger) == {("127.0.0.2", 1)}, "the premise: it is listed"
            reborn = await lab.announce(
                t, announce_hash, port=1, source="127.0.0.2", peer_id="b" * 20
            )
            assert lab.addresses(reborn) == {("127.0.0.9", 9)}

    asyncio.run(scenario())


def test_a_complete_peer_is_handed_only_incomplete_ones(tmp_path: Path) -> None:
    """Two complete peers have nothing to exchange; an incomplete one gets both kinds."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            announce_hash = await published(t)
            for port in (1, 2):
                await lab.announce(t, announce_hash, port=port, left=0)
            lacking = await lab.announce(t, announce_hash, port=3)
            assert lab.addresses(lacking) == {("127.0.0.1", 1), ("127.0.0.1", 2)}
            having = await lab.announce(t, announce_hash, port=4, left=0)
            assert lab.addresses(having) == {("127.0.0.1", 3)}
            assert (having[b"complete"], having[b"incomplete"]) == (3, 1)

    asyncio.run(scenario())


def test_who_stops_is_forgotten_and_gets_nobody(tmp_path: Path) -> None:
    """A farewell takes the peer out of the counts and the handouts at once."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            announce_hash = await published(t)
            await lab.announce(t, announce_hash, port=1)
            await lab.announce(t, announce_hash, port=2)
            farewell = await lab.announce(t, announce_hash, port=1, event="stopped", numwant=9)
            assert (farewell[b"incomplete"], farewell[b"peers"]) == (1, b"")
            rest = await lab.announce(t, announce_hash, port=3)
            assert lab.addresses(rest) == {("127.0.0.1", 2)}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("numwant", "handed"), [({}, 3), ({"numwant": 2}, 2), ({"numwant": 0}, 0), ({"numwant": 99}, 5)]
)
def test_a_handout_is_bounded(tmp_path: Path, numwant: dict[str, Any], handed: int) -> None:
    """By what the client wants, by the default when it does not say, by the cap always."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path, default_numwant=3, max_numwant=5) as t:
            announce_hash = await published(t)
            for port in range(1, 9):
                await lab.announce(t, announce_hash, port=port, numwant=0)
            answer = await lab.announce(t, announce_hash, port=9, **numwant)
            assert len(lab.addresses(answer)) == handed

    asyncio.run(scenario())


def test_handouts_differ(tmp_path: Path) -> None:
    """Peers are chosen at random: over many handouts of one, everybody is chosen."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            announce_hash = await published(t)
            for port in range(1, 5):
                await lab.announce(t, announce_hash, port=port)
            chosen = set()
            for _ in range(200):
                chosen |= lab.addresses(await lab.announce(t, announce_hash, port=9, numwant=1))
                if len(chosen) == 4:
                    break
            assert chosen == {("127.0.0.1", port) for port in range(1, 5)}

    asyncio.run(scenario())


def test_the_query_does_not_choose_the_address(tmp_path: Path) -> None:
    """`ip=` is ignored: no peer speaks for another."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            announce_hash = await published(t)
            await lab.announce(t, announce_hash, port=1, source="127.0.0.2", ip="192.0.2.7")
            answer = await lab.announce(t, announce_hash, port=2)
            assert lab.addresses(answer) == {("127.0.0.2", 1)}

    asyncio.run(scenario())


def test_families_are_kept_apart_and_mapped_ipv4_is_ipv4() -> None:
    """On one dual-stack socket: an IPv6 peer gets `peers6`, an IPv4 one `peers`."""
    one = bytes(15) + b"\x01"  # ::1

    async def scenario() -> None:
        async with dual_stack_tracker(b"h" * 20) as (four, six):
            await lab.announce(four, b"h" * 20, port=1)
            by_four = await lab.announce(four, b"h" * 20, port=2)
            await lab.announce(six, b"h" * 20, port=3, source="::1")
            by_six = await lab.announce(six, b"h" * 20, port=4, source="::1")
        assert lab.addresses(by_four) == {("127.0.0.1", 1)}
        assert b"peers6" not in by_four
        assert by_four[b"external ip"] == bytes([127, 0, 0, 1])
        assert (by_six[b"peers6"], by_six[b"peers"]) == (one + b"\x00\x03", b"")
        assert (by_six[b"external ip"], by_six[b"incomplete"]) == (one, 2)

    asyncio.run(scenario())


@contextlib.asynccontextmanager
async def dual_stack_tracker(
    announce_hash: bytes,
) -> AsyncIterator[tuple[TrackerClient, TrackerClient]]:
    """Serve announces for one torrent; yields clients that reach it by IPv4 and by IPv6."""
    swarms = MemorySwarms(lifetime_seconds=60)
    swarms.open(announce_hash)
    app = web.Application()
    AnnounceHttp(Announcer(swarms, Terms(30, 5, 50, 100), policy=Uniform())).add_to(app.router)
    runner = web.AppRunner(app)
    await runner.setup()
    listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    try:
        await web.SockSite(runner, listener).start()
        port = listener.getsockname()[1]
        yield TrackerClient(f"http://127.0.0.1:{port}"), TrackerClient(f"http://[::1]:{port}")
    finally:
        await runner.cleanup()


def test_each_byte_of_a_hash_survives_the_query(tmp_path: Path) -> None:
    """Hashes are bytes, not text: the torrent is found whatever its hash is."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            await t.register_image(lab.describe())
            source = random.Random(7)
            for _ in range(10):
                data = source.randbytes(1000)
                await t.withdraw_image(lab.IMAGE)
                await t.register_image(lab.describe(size=1000, os_hash_value=None))
                announce_hash = (await lab.publish(t, data)).announce_hash
                assert b"interval" in await lab.announce(t, announce_hash, port=1)

    asyncio.run(scenario())


def test_scrape_counts_what_is_published(tmp_path: Path) -> None:
    """Complete, incomplete and completed ones; a hash that is not published is left out."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            announce_hash = await published(t)
            await lab.announce(t, announce_hash, port=1, left=0)
            await lab.announce(t, announce_hash, port=2)
            await lab.announce(t, announce_hash, port=3)
            for _ in range(2):  # the second is a repetition after a lost answer
                await lab.announce(t, announce_hash, port=3, left=0, event="completed")
            names = "&".join(f"info_hash={lab.quoted(h)}" for h in (announce_hash, b"x" * 20))
            assert await lab.get(t, f"/scrape?{names}") == {
                b"files": {announce_hash: {b"complete": 2, b"downloaded": 1, b"incomplete": 1}}
            }
            assert b"failure reason" in await lab.get(t, "/scrape")

    asyncio.run(scenario())


def test_both_variants_have_swarms_of_their_own(tmp_path: Path) -> None:
    """The raw form is another torrent."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            announce_hash = await published(t)
            raw = await lab.publish(t, b"raw" * 9999, variant=Variant.RAW)
            await lab.announce(t, announce_hash, port=1)
            assert (await lab.announce(t, raw.announce_hash, port=2))[b"peers"] == b""

    asyncio.run(scenario())
