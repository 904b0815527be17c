"""A handout of nobody: what shows that it is the tracker who brings a swarm together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from swarm.tracker_client import TrackerClient
from tests.unit.tracker import lab, udp_client
from tests.waiting import until, until_async

if TYPE_CHECKING:
    from pathlib import Path

OFF = {"default_numwant": 0, "max_numwant": 0}
LACKS = len(lab.BYTES)


async def hears_of_nobody(tracker: TrackerClient, key: bytes, *, port: int) -> bool:
    """Announce over HTTP and UDP, as a newcomer and as before, wanting many."""
    heard: set[tuple[str, int]] = set()
    for event in ("started", ""):
        heard |= lab.addresses(await lab.announce(tracker, key, port=port, numwant=50, event=event))
    async with udp_client.udp_client(tracker.url) as udp:
        for event in (2, 0):
            heard |= (await udp.announce(key, port=port, numwant=50, event=event)).peers
    return not heard


@pytest.mark.parametrize("is_off", [True, False])
def test_announces_introduce_nobody_if_the_handout_is_off(tmp_path: Path, *, is_off: bool) -> None:
    """However many a client wants; and otherwise they do."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path, **(OFF if is_off else {})) as tracker:
            await tracker.register_image(lab.describe())
            key = (await lab.publish(tracker)).announce_hash
            await lab.announce(tracker, key, port=1, left=0)
            await lab.announce(tracker, key, port=2)
            assert await hears_of_nobody(tracker, key, port=3) is is_off

    asyncio.run(scenario())


def test_the_channel_introduces_nobody_if_the_handout_is_off(tmp_path: Path) -> None:
    """Neither newcomers, nor who asks for more; both are counted, and dealt slices."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path, **OFF) as tracker:
            await tracker.register_image(lab.describe())
            key = (await lab.publish(tracker)).announce_hash
            other = TrackerClient(tracker.url, local_address="127.0.0.2")
            first, second = lab.FakeNode(), lab.FakeNode()
            async with (
                other,
                lab.connected(tracker, first, name="a", role="agent", port=6881),
                lab.connected(other, second, name="b", role="agent", port=6881),
            ):
                first.have(key, LACKS)
                second.have(key, LACKS)
                await until(lambda: key in second.slices, what="the second is dealt in")
                assert second.client is not None
                second.client.want(key)
                second.have(key, 0)

                async def has_completed() -> bool:
                    found = await lab.get(tracker, f"/scrape?info_hash={lab.quoted(key)}")
                    return bool(found[b"files"][key][b"complete"])

                await until_async(has_completed, what="its next report, after the wish")
                assert (first.peers, second.peers) == ({}, {})

    asyncio.run(scenario())
