"""Announces over UDP through a whole tracker: real sockets, the real store behind them."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from typing import TYPE_CHECKING

from swarm.errors import Unavailable
from swarm.listeners import UDP, bind_all
from tests.unit.tracker import lab, udp_client
from tests.unit.tracker.udp_client import reason
from tests.waiting import until
from tracker.announce import udp
from tracker.announce.announce import Announcer, Terms
from tracker.announce.connection_id import ConnectionIds
from tracker.announce.udp_answers import AnnounceUdp
from tracker.handout.uniform import Uniform
from tracker.swarms.memory import MemorySwarms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest

    from swarm.tracker_client import TrackerClient
    from tests.unit.tracker.udp_client import UdpClient

HASH = b"h" * 20


async def published(client: TrackerClient) -> bytes:
    """Publish one torrent and return its announce hash."""
    await client.register_image(lab.describe())
    return (await lab.publish(client)).announce_hash


def test_peers_meet_over_udp_and_http(tmp_path: Path) -> None:
    """One swarm, whichever way they announce; at the address that the datagram came from."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path, announce_interval=31) as t:
            announce_hash = await published(t)
            await lab.announce(t, announce_hash, port=1, source="127.0.0.2", left=0)
            async with udp_client.udp_client(t.url, source="127.0.0.3") as client:
                answer = await client.announce(announce_hash, port=2)
            assert answer.peers == {("127.0.0.2", 1)}
            assert (answer.complete, answer.incomplete) == (1, 1)
            assert 31 <= answer.interval <= 35
            third = await lab.announce(t, announce_hash, port=3, source="127.0.0.4")
            assert lab.addresses(third) == {("127.0.0.2", 1), ("127.0.0.3", 2)}

    asyncio.run(scenario())


def test_each_address_and_family_is_served_at_one_port(tmp_path: Path) -> None:
    """Two addresses of IPv4 and one of IPv6, TCP and UDP; the families are apart."""

    async def scenario() -> None:
        addresses = ["127.0.0.1", "127.0.0.7", "::1"]
        async with lab.tracker_at(tmp_path, listen_address=addresses) as t:
            announce_hash = await published(t)
            port = t.url.rpartition(":")[2]
            for host in ("127.0.0.1", "127.0.0.7"):
                url = f"http://{host}:{port}"
                async with udp_client.udp_client(url) as client:
                    four = await client.announce(announce_hash, port=len(host))
            assert four.incomplete == 1, "both came from 127.0.0.1, and one port"
            async with udp_client.udp_client(f"http://[::1]:{port}") as client:
                await client.announce(announce_hash, port=1)
                six = await client.announce(announce_hash, port=2)
            assert (six.peers, six.incomplete) == ({("::1", 1)}, 2)

    asyncio.run(scenario())


def test_refusals_are_sentences(tmp_path: Path) -> None:
    """For the client's log; nothing is taken down."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t, udp_client.udp_client(t.url) as client:
            announce_hash = await published(t)
            cid = await client.connect()
            unknown = udp_client.announce_request(cid, b"t001", b"x" * 20, port=1)
            assert reason(await client.ask(unknown)) == "this torrent is not published here"
            for changes, sentence in (
                ({"port": 0}, "port: not a number from 1 to 65535"),
                ({"port": 1, "event": 9}, "event: 9 is none of ours"),
                ({"port": 1, "options": b"\x02\x09/anno"}, "options: one is cut short"),
            ):
                bad = udp_client.announce_request(cid, b"t002", announce_hash, **changes)  # type: ignore[arg-type]
                assert reason(await client.ask(bad)) == sentence
            many = udp_client.scrape_request(cid, b"t003", *[announce_hash] * 75)
            assert reason(await client.ask(many)) == "info_hash: name 1 to 74 of them"
            assert (await client.announce(announce_hash, port=3)).incomplete == 1

    asyncio.run(scenario())


def test_scrapes_count_in_their_order(tmp_path: Path) -> None:
    """Zeros for what is not published: the answer has no other way to leave it out."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t, udp_client.udp_client(t.url) as client:
            announce_hash = await published(t)
            await client.announce(announce_hash, port=1)
            await client.announce(announce_hash, port=2, left=0)
            await client.announce(announce_hash, port=1, left=0, event=1)
            cid = await client.connect()
            hashes = (b"x" * 20, announce_hash)
            answer = await client.ask(udp_client.scrape_request(cid, b"tttt", *hashes))
            assert answer == b"\0\0\0\2tttt" + bytes(12) + b"\0\0\0\2\0\0\0\1\0\0\0\0"

    asyncio.run(scenario())


def test_a_farewell_is_heard(tmp_path: Path) -> None:
    """And gets no peers."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t, udp_client.udp_client(t.url) as client:
            announce_hash = await published(t)
            await client.announce(announce_hash, port=1)
            await client.announce(announce_hash, port=2)
            left = await client.announce(announce_hash, port=2, event=3)
            assert (left.incomplete, left.peers) == (1, set())

    asyncio.run(scenario())


def test_who_shows_no_connection_id_gets_less_than_it_sent(tmp_path: Path) -> None:
    """A forged source can't be made to receive more than was sent in its name; nor be announced."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t, udp_client.udp_client(t.url) as client:
            announce_hash = await published(t)
            async with udp_client.udp_client(t.url, source="127.0.0.5") as other:
                stolen = await other.connect()
            for cid in (bytes(8), udp_client.PROTOCOL_ID, stolen):
                for request in (
                    udp_client.announce_request(cid, b"t001", announce_hash, port=1),
                    udp_client.scrape_request(cid, b"t002", announce_hash),
                ):
                    answer = await client.ask(request)
                    assert reason(answer) == "connect again"
                    assert len(answer) <= len(request)
            assert (await client.announce(announce_hash, port=2)).incomplete == 1

    asyncio.run(scenario())


def test_what_is_no_request_is_not_answered(tmp_path: Path) -> None:
    """Too short, of no kind, or a connect request without the number of the protocol."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t, udp_client.udp_client(t.url) as client:
            cid = await client.connect()
            for data in (
                b"",
                b"GET / HTTP/1.1\r\n\r\n",
                bytes(16),
                udp_client.PROTOCOL_ID + bytes(7),
                cid + b"\0\0\0\4" + bytes(100),
                udp_client.announce_request(cid, b"tttt", HASH, port=1)[:97],
            ):
                assert await client.is_silent_about(data)

    asyncio.run(scenario())


def test_replicas_with_one_secret_know_each_others_ids(tmp_path: Path) -> None:
    """A balancer may bring the announce elsewhere than the connect; without the secret it fails."""

    async def scenario(secret: str) -> bool:
        async with (
            lab.tracker_at(tmp_path / secret / "one", udp_secret=secret) as one,
            lab.tracker_at(tmp_path / secret / "two", udp_secret=secret) as two,
            udp_client.udp_client(one.url) as client,
            udp_client.udp_client(two.url) as other,
        ):
            announce_hash = await published(two)
            cid = await client.connect()
            request = udp_client.announce_request(cid, b"tttt", announce_hash, port=1)
            return (await other.ask(request))[:4] == b"\0\0\0\1"

    assert asyncio.run(scenario("0123456789abcdef"))
    assert not asyncio.run(scenario(""))


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    """Then the port is free for others."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path, udp=False) as t:
            port = int(t.url.rpartition(":")[2])
            with contextlib.closing(bind_all(["127.0.0.1"], port, kinds=[UDP])[0]):
                pass

    asyncio.run(scenario())


def test_a_flood_of_garbage_leaves_announces_working(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Twenty thousand datagrams of nothing, as fast as they go, and each announce is answered."""

    async def flood(url: str) -> None:
        source = random.Random(5)
        host, port = url.removeprefix("http://").split(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for _ in range(400):
                for _ in range(50):
                    sock.sendto(source.randbytes(source.randrange(200)), (host, int(port)))
                await asyncio.sleep(0)

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t, udp_client.udp_client(t.url) as client:
            announce_hash = await published(t)
            task = asyncio.create_task(flood(t.url))
            announces = 0
            while not task.done():
                assert (await client.announce(announce_hash, port=1)).incomplete == 1
                announces += 1
            await task
            assert announces > 1, "the premise: some came during the flood"
            assert b"interval" in await lab.announce(t, announce_hash, port=2)

    asyncio.run(scenario())
    ours = ("tracker.announce", "asyncio")
    assert not [r for r in caplog.records if r.exc_info or r.name.startswith(ours)]


class SlowSwarms(MemorySwarms):
    """A store in memory that takes its time, as one on the network may.

    No mock of a store: it is one, behind a gate that the test opens. An Announcer takes it for one
    at hand, so the test says that it is not.
    """

    def __init__(self) -> None:
        super().__init__(lifetime_seconds=60)
        self.gate = asyncio.Event()
        self.waiting = 0
        self.is_broken = False

    async def announce(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]
        """Answer once the gate is open."""
        self.waiting += 1
        await self.gate.wait()
        if self.is_broken:
            raise Unavailable("the store can't be reached")
        return await super().announce(*args, **kwargs)  # type: ignore[arg-type]


class Patient(Announcer):
    """An announcer whose store has to be waited for."""

    is_immediate = False  # type: ignore[assignment]


@contextlib.asynccontextmanager
async def slow_tracker(
    most_waiting: int,
) -> AsyncIterator[tuple[SlowSwarms, AnnounceUdp, UdpClient]]:
    """Serve one torrent out of a slow store."""
    swarms = SlowSwarms()
    swarms.open(HASH)
    announces = AnnounceUdp(
        Patient(swarms, Terms(30, 5, 50, 100), policy=Uniform()), ConnectionIds()
    )
    sockets = bind_all(["127.0.0.1"], 0, kinds=[UDP])
    url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    async with (
        udp.serving(announces, sockets, most_waiting=most_waiting),
        udp_client.udp_client(url) as client,
    ):
        yield swarms, announces, client


def test_with_a_shared_store_only_so_many_announces_wait() -> None:
    """Those beyond are dropped, and counted; those that wait are answered in the end."""

    async def scenario() -> None:
        async with slow_tracker(3) as (swarms, announces, client):
            cid = await client.connect()
            for port in range(1, 6):
                client.send(udp_client.announce_request(cid, b"%04d" % port, HASH, port=port))
            await until(
                lambda: announces.counters.udp.failures["overload"] == 2, what="two are dropped"
            )
            await client.connect()  # which is answered meanwhile, as it waits for nothing
            assert swarms.waiting == 3
            swarms.gate.set()
            answers = [await client.receive() for _ in range(3)]
            assert [a[:8] for a in answers] == [b"\0\0\0\1%04d" % port for port in (1, 2, 3)]
            assert (await client.announce(HASH, port=4)).incomplete == 4

    asyncio.run(scenario())


def test_a_store_that_is_away_is_said() -> None:
    """As an error, so that the client tries its next tracker."""

    async def scenario() -> None:
        async with slow_tracker(3) as (swarms, _, client):
            swarms.is_broken = True
            swarms.gate.set()
            cid = await client.connect()
            answer = await client.ask(udp_client.announce_request(cid, b"tttt", HASH, port=1))
            assert reason(answer) == "the store can't be reached"

    asyncio.run(scenario())


def test_what_waits_ends_with_the_tracker() -> None:
    """Nothing holds up its end, and no task is left."""

    async def scenario() -> None:
        async with slow_tracker(3) as (swarms, _, client):
            cid = await client.connect()
            client.send(udp_client.announce_request(cid, b"tttt", HASH, port=1))
            await until(lambda: swarms.waiting == 1, what="it waits")
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scenario())
