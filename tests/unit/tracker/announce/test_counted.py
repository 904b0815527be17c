"""Announces are counted, whichever way they come, and however short their way is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.unit.tracker import lab, udp_client

if TYPE_CHECKING:
    from pathlib import Path

    from swarm.tracker_client import TrackerClient

_PREFIX = "glance_swarm_tracker_"


async def figures(client: TrackerClient) -> dict[str, float]:
    """Return the metrics, by name and labels as they are printed."""
    lines = (await client.call("GET", "/metrics")).decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if line.startswith(_PREFIX))
    return {name.removeprefix(_PREFIX): float(value) for name, value in pairs}


def test_requests_answers_and_refusals_are_counted(tmp_path: Path) -> None:
    """By protocol and family; bytes of UDP to the last one."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path, listen_address=["127.0.0.1", "::1"]) as t:
            await t.register_image(lab.describe())
            announce_hash = (await lab.publish(t)).announce_hash
            await lab.announce(t, announce_hash, port=1)
            await lab.get(t, f"/scrape?info_hash={lab.quoted(announce_hash)}")
            await lab.announce(t, b"x" * 20, port=1)
            async with udp_client.udp_client(t.url) as client:
                for _ in range(3):  # the first one is new, the others are not
                    await client.announce(announce_hash, port=2)
                cid = await client.connect()
                await client.ask(udp_client.scrape_request(cid, b"tttt", announce_hash))
                await client.ask(udp_client.announce_request(cid, b"uuuu", b"x" * 20, port=2))
                await client.ask(udp_client.scrape_request(bytes(8), b"vvvv", announce_hash))
                assert await client.is_silent_about(b"garbage")
            six = f"http://[::1]:{t.url.rpartition(':')[2]}"
            async with udp_client.udp_client(six) as client:
                await client.announce(announce_hash, port=2)
            found = await figures(t)
            requests = {
                name.removeprefix("requests_total"): value
                for name, value in found.items()
                if name.startswith("requests_total") and value
            }
            assert requests == {
                '{action="announce",family="ipv4",protocol="http"}': 2,
                '{action="scrape",family="ipv4",protocol="http"}': 1,
                '{action="connect",family="ipv4",protocol="udp"}': 5,
                '{action="announce",family="ipv4",protocol="udp"}': 4,
                '{action="scrape",family="ipv4",protocol="udp"}': 2,
                '{action="connect",family="ipv6",protocol="udp"}': 1,
                '{action="announce",family="ipv6",protocol="udp"}': 1,
            }
            assert found['failures_total{protocol="http",reason="not_found"}'] == 1
            assert found['failures_total{protocol="udp",reason="not_found"}'] == 1
            assert found['failures_total{protocol="udp",reason="connection_id"}'] == 1
            assert found['rx_bytes_total{family="ipv6",protocol="udp"}'] == 16 + 98
            assert found['tx_bytes_total{family="ipv6",protocol="udp"}'] == 16 + 20
            assert found['rx_bytes_total{family="ipv4",protocol="udp"}'] == (
                5 * 16 + 4 * 98 + 2 * 36 + len(b"garbage")
            )
            assert found['rx_bytes_total{family="ipv4",protocol="http"}'] > 400
            assert found['tx_bytes_total{family="ipv4",protocol="http"}'] > 200
            assert (found["handouts_total"], found["handed_out_peers_total"]) == (5, 3)

    asyncio.run(scenario())
