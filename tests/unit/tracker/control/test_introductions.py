"""Who hears of whom over the control channel, and how soon: a real tracker, real channels."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from swarm.tracker_client import TrackerClient
from tests.unit.tracker import lab
from tests.waiting import until, until_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.unit.tracker.lab import FakeNode

LACKS = len(lab.BYTES)


def address(number: int) -> str:
    """Return the loopback address of node ``number``."""
    return f"127.0.{number >> 8}.{10 + (number & 127)}"


@contextlib.asynccontextmanager
async def node_at(
    tracker: TrackerClient, number: int, **held: dict[bytes, int]
) -> AsyncIterator[FakeNode]:
    """Connect node ``number``, an agent, from its own address, which accepts peers at 6881."""
    node = lab.FakeNode(**held)
    async with (
        TrackerClient(tracker.url, local_address=address(number)) as client,
        lab.connected(client, node, name=f"node-{number}", role="agent", port=6881),
    ):
        yield node


@contextlib.asynccontextmanager
async def stage(directory: Path, **values: object) -> AsyncIterator[tuple[TrackerClient, bytes]]:
    """Run a tracker with one published torrent."""
    async with lab.tracker_at(directory, **values) as tracker:
        await tracker.register_image(lab.describe())
        yield tracker, (await lab.publish(tracker)).announce_hash


async def counts(tracker: TrackerClient, key: bytes) -> tuple[int, int, int]:
    """Return how many are complete, incomplete, and have completed."""
    found = (await lab.get(tracker, f"/scrape?info_hash={lab.quoted(key)}"))[b"files"][key]
    return found[b"complete"], found[b"incomplete"], found[b"downloaded"]


def test_a_newcomer_and_those_before_it_hear_of_each_other(tmp_path: Path) -> None:
    """At the addresses that their channels come from, and the ports that they named."""

    async def scenario() -> None:
        async with (
            stage(tmp_path) as (tracker, key),
            node_at(tracker, 1) as first,
            node_at(tracker, 2) as second,
        ):
            first.have(key, LACKS)
            await until_async(lambda: is_counted(tracker, key, (0, 1, 0)), what="the first")
            assert first.peers == {}, "the premise: it is alone"
            second.have(key, LACKS)
            await until(lambda: second.peers == {key: {(address(1), 6881)}}, what="the handout")
            await until(lambda: first.peers == {key: {(address(2), 6881)}}, what="the word of it")

    asyncio.run(scenario())


async def is_counted(tracker: TrackerClient, key: bytes, expected: tuple[int, int, int]) -> bool:
    """Tell whether the tracker counts so many."""
    return await counts(tracker, key) == expected


def test_channels_and_announces_are_one_swarm(tmp_path: Path) -> None:
    """Who announces over HTTP meets who is on a channel, and the other way round."""

    async def scenario() -> None:
        async with stage(tmp_path) as (tracker, key), node_at(tracker, 1) as node:
            await lab.announce(tracker, key, port=7, source="127.0.0.9", left=0)
            node.have(key, LACKS)
            await until(lambda: node.peers == {key: {("127.0.0.9", 7)}}, what="the handout")
            answer = await lab.announce(tracker, key, port=8, source="127.0.0.8", event="started")
            assert lab.addresses(answer) == {("127.0.0.9", 7), (address(1), 6881)}
            met = {("127.0.0.9", 7), ("127.0.0.8", 8)}
            await until(lambda: node.peers == {key: met}, what="the word of the newcomer")

    asyncio.run(scenario())


def test_completing_is_counted_once_and_leaving_at_once(tmp_path: Path) -> None:
    """As the events of announces are."""

    async def scenario() -> None:
        async with stage(tmp_path) as (tracker, key), node_at(tracker, 1) as node:
            node.have(key, LACKS)
            await until_async(lambda: is_counted(tracker, key, (0, 1, 0)), what="it joins")
            node.have(key, 1)
            node.have(key, 0)
            await until_async(lambda: is_counted(tracker, key, (1, 0, 1)), what="it completes")
            node.have(key, 0)
            node.leave(key)
            await until_async(lambda: is_counted(tracker, key, (0, 0, 1)), what="it leaves")

    asyncio.run(scenario())


def test_slices_are_disjoint_and_cover_everything(tmp_path: Path) -> None:
    """Five nodes that lack a torrent share its pieces out; a complete one gets no slice."""

    async def scenario() -> None:
        async with stage(tmp_path) as (tracker, key), contextlib.AsyncExitStack() as stack:
            complete = await stack.enter_async_context(node_at(tracker, 99, held={key: 0}))
            nodes = [await stack.enter_async_context(node_at(tracker, n)) for n in range(5)]
            for node in nodes:
                node.have(key, LACKS)

            def pieces() -> list[int]:
                return sorted(p for n in nodes for p in range(64) if is_in(n.slices.get(key), p))

            await until(lambda: pieces() == list(range(64)), what="each piece once")
            assert complete.slices == {}

    asyncio.run(scenario())


def is_in(slice_: tuple[int, int] | None, piece: int) -> bool:
    """Tell whether a piece is in a slice."""
    return slice_ is not None and piece % slice_[1] == slice_[0]


def test_the_others_hear_who_has_left(tmp_path: Path) -> None:
    """Those who lack something: they would try to connect to it."""

    async def scenario() -> None:
        async with (
            stage(tmp_path) as (tracker, key),
            node_at(tracker, 1, held={key: LACKS}) as stays,
            node_at(tracker, 2, held={key: LACKS}) as leaves,
        ):
            await until(lambda: key in stays.peers, what="they have met")
            leaves.leave(key)
            await until(lambda: stays.parted == {key: {(address(2), 6881)}}, what="the word of it")

    asyncio.run(scenario())


def test_a_withdrawn_torrent_is_told_to_who_holds_it(tmp_path: Path) -> None:
    """And to nobody else."""

    async def scenario() -> None:
        async with (
            stage(tmp_path) as (tracker, key),
            node_at(tracker, 1, held={key: 0}) as holder,
            node_at(tracker, 2) as other,
        ):
            await until_async(lambda: is_counted(tracker, key, (1, 0, 0)), what="it joins")
            await tracker.withdraw_image(lab.IMAGE)
            await until(lambda: holder.withdrawn == {key}, what="the word of it")
            assert other.withdrawn == set()

    asyncio.run(scenario())


def test_a_restarted_tracker_is_told_everything(tmp_path: Path) -> None:
    """The channel comes back by itself, and with it all that the node holds."""

    async def scenario() -> None:
        async with contextlib.AsyncExitStack() as stack:
            async with stage(tmp_path) as (tracker, key):
                port = int(tracker.url.rpartition(":")[2])
                node = await stack.enter_async_context(node_at(tracker, 1, held={key: LACKS}))
                await until_async(lambda: is_counted(tracker, key, (0, 1, 0)), what="it joins")
            await until(lambda: not node.is_connected.is_set(), what="the loss is noticed")
            async with lab.tracker_at(tmp_path, listen_port=port) as tracker:
                await until_async(lambda: is_counted(tracker, key, (0, 1, 0)), what="it is back")

    asyncio.run(scenario())


def test_an_announce_of_a_present_node_is_rarely_wanted(tmp_path: Path) -> None:
    """Its channel says all that its announces would; another client's interval is the usual one."""

    async def scenario() -> None:
        async with stage(tmp_path) as (tracker, key), node_at(tracker, 1, held={key: 0}):
            await until_async(lambda: is_counted(tracker, key, (1, 0, 0)), what="it joins")
            own = await lab.announce(tracker, key, port=6881, source=address(1), left=0)
            other = await lab.announce(tracker, key, port=6882, source=address(1), left=0)
            assert own[b"interval"] >= 1800
            assert other[b"interval"] < 40

    asyncio.run(scenario())


def test_who_asks_for_more_peers_gets_some(tmp_path: Path) -> None:
    """A fresh handout, whatever it was told before."""

    async def scenario() -> None:
        async with (
            stage(tmp_path, default_numwant=1) as (tracker, key),
            node_at(tracker, 1, held={key: LACKS}) as node,
        ):
            await until_async(lambda: is_counted(tracker, key, (0, 1, 0)), what="it joins")
            for port in (1, 2):
                await lab.announce(tracker, key, port=port, source="127.0.0.9")
            assert node.peers == {}, "the premise: nobody tells it by itself"

            def has_met_both() -> bool:
                assert node.client is not None
                node.client.want(key)
                return node.peers == {key: {("127.0.0.9", 1), ("127.0.0.9", 2)}}

            await until(has_met_both, what="both, one at a time")

    asyncio.run(scenario())


@pytest.mark.parametrize("count", [40])
def test_news_are_not_lost_in_a_crowd(tmp_path: Path, count: int) -> None:
    """Everybody who joins in one moment is in one connected swarm."""

    async def scenario() -> None:
        async with stage(tmp_path) as (tracker, key), contextlib.AsyncExitStack() as stack:
            nodes = [await stack.enter_async_context(node_at(tracker, n)) for n in range(count)]
            for node in nodes:
                node.have(key, LACKS)
            everybody = {(address(n), 6881) for n in range(count)}

            def is_known_by_all() -> bool:
                known = (node.peers.get(key, set()) for node in nodes)
                return all(met == everybody - {(address(n), 6881)} for n, met in enumerate(known))

            await until(is_known_by_all, what="each has heard of each other")

    asyncio.run(scenario())
