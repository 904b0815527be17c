"""`/v1/swarms`: live figures of real swarms, and their addition, which is pure."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm import errors
from swarm.messages import RackShare, SwarmList, Variant, VariantDocument, VariantState
from swarm.torrent_version import TorrentVersion
from tests.unit.tracker import lab
from tracker.swarms.peer import Peer, compact
from tracker.swarms.store import Members
from tracker.swarms.view import view

if TYPE_CHECKING:
    from pathlib import Path

SIZE = len(lab.BYTES)
DOCUMENT = VariantDocument(
    variant=Variant.RAW, state=VariantState.PUBLISHED, info_hash="ab" * 32, size=1000
)


def rack_of(address: bytes) -> str:
    """Put each second address into a rack."""
    return f"r{address[-1] % 3}" if address[-1] % 2 else ""


def peer(number: int, left: int, *, ipv6: bool = False) -> Peer:
    """Return node ``number``, at an address of one family or the other."""
    address = bytes(15 if ipv6 else 3) + bytes([number])
    return Peer(bytes([number]) * 20, compact(address, 1), left)


@given(st.dictionaries(st.integers(1, 40), st.integers(0, 2000)))
def test_racks_add_up_to_the_whole(lefts: dict[int, int]) -> None:
    """In nodes and in bytes; whatever is claimed, nobody holds less than nothing."""
    peers = [peer(number, left) for number, left in lefts.items()]
    found = view(DOCUMENT, [Members(peers, 7)], rack_of)
    assert found.seeders == sum(left == 0 for left in lefts.values())
    assert found.seeders + found.leechers == len(lefts)
    assert found.held_bytes == sum(1000 - min(left, 1000) for left in lefts.values())
    assert 0 <= found.held_percent <= 100
    for member in ("seeders", "leechers", "held_bytes"):
        assert sum(getattr(rack, member) for rack in found.racks) == getattr(found, member)
    names = [rack.rack for rack in found.racks]
    assert names == sorted({rack_of(bytes([number])) for number in lefts})
    assert found.completed == 7


def test_a_node_that_is_met_several_times_is_one() -> None:
    """With an address of each family, and in both swarms of a hybrid torrent."""
    v2 = Members([peer(1, 400), peer(1, 400, ipv6=True), peer(2, 0)], 1)
    v1 = Members([peer(1, 300), peer(2, 0), peer(3, 1000)], 2)
    found = view(DOCUMENT, [v2, v1], lambda _: "r")
    assert (found.seeders, found.leechers, found.held_bytes) == (1, 2, 1700)
    assert found.racks == [
        RackShare(rack="r", seeders=1, leechers=2, held_bytes=1700, held_percent=56.67)
    ]
    nobody = view(DOCUMENT, [], rack_of)
    assert (nobody.seeders, nobody.held_percent, nobody.racks) == (0, 0, [])


def test_a_swarm_is_shown_as_it_is(tmp_path: Path) -> None:
    """Seeders, leechers, bytes held and completed downloads, at the moment of asking."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            await t.register_image(lab.describe())
            assert (await t.show_swarm(lab.IMAGE)).variants == [], "nothing is published"
            assert await t.list_swarms() == []
            made = await lab.publish(t)
            await lab.announce(t, made.announce_hash, port=1, left=0)
            await lab.announce(t, made.announce_hash, port=2, left=SIZE // 4)
            (variant,) = (await t.show_swarm(lab.IMAGE)).variants
            assert (variant.variant, variant.size) == (Variant.ORIGINAL, SIZE)
            assert variant.info_hash == made.info_hash.hex()
            assert (variant.seeders, variant.leechers, variant.completed) == (1, 1, 0)
            assert variant.held_bytes == SIZE + 3 * SIZE // 4
            assert variant.held_percent == 87.5
            (rack,) = variant.racks
            assert (rack.rack, rack.held_bytes) == ("", variant.held_bytes)
            (summary,) = await t.list_swarms()
            assert (summary.seeders, summary.leechers, summary.completed) == (1, 1, 0)
            assert (summary.name, summary.info_hash) == ("debian-12", variant.info_hash)

            await lab.announce(t, made.announce_hash, port=2, left=0, event="completed")
            await lab.announce(t, made.announce_hash, port=1, event="stopped")
            (variant,) = (await t.show_swarm(lab.IMAGE)).variants
            assert (variant.seeders, variant.leechers, variant.completed) == (1, 0, 1)
            assert variant.held_percent == 100
            for unknown in (lab.OTHER, "x", "%00"):
                with pytest.raises(errors.ImageUnknown):
                    await t.show_swarm(unknown)

    asyncio.run(scenario())


def test_a_hybrid_torrent_is_one_swarm_to_look_at(tmp_path: Path) -> None:
    """A node of ours announces both hashes, a client of v1 one."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            await t.register_image(lab.describe())
            made = await lab.publish(t, version=TorrentVersion.HYBRID)
            v1, v2 = made.info_hashes.v1, made.announce_hash
            assert v1 is not None
            await lab.announce(t, v1, port=1, left=0)
            await lab.announce(t, v2, port=1, left=0)
            await lab.announce(t, v1, port=2, left=1)
            (variant,) = (await t.show_swarm(lab.IMAGE)).variants
            assert (variant.seeders, variant.leechers) == (1, 1)
            (summary,) = await t.list_swarms()
            assert (summary.seeders, summary.leechers) == (1, 1)

    asyncio.run(scenario())


async def page(client: Any, **query: object) -> SwarmList:  # noqa: ANN401 - a tracker's client
    """Return one page."""
    given = {name: str(value) for name, value in query.items() if value is not None}
    return await client.call_for(SwarmList, "GET", "/v1/swarms", query=given)  # type: ignore[no-any-return]


def test_swarms_come_in_pages(tmp_path: Path) -> None:
    """Each once, in order, however long the pages; what is published meanwhile breaks nothing."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            ids = [f"{n:08d}-0000-4000-8000-000000000000" for n in range(5)]
            for image_id in ids:
                digest = hashlib.sha512(lab.BYTES).hexdigest()
                await t.register_image(lab.describe(image_id, os_hash_value=digest))
                for variant in (Variant.ORIGINAL, Variant.RAW):
                    await lab.publish(t, image_id=image_id, variant=variant)
            expected = [(i, v) for i in ids for v in (Variant.ORIGINAL, Variant.RAW)]
            for limit in (1, 3, 10, 11):
                marker, got = None, []
                while True:
                    one = await page(t, limit=limit, marker=marker)
                    assert 1 <= len(one.swarms) <= limit
                    got += [(s.image_id, s.variant) for s in one.swarms]
                    marker = one.next_marker
                    if marker is None:
                        break
                assert got == expected
            assert len(await t.list_swarms()) == 10
            await t.withdraw_image(ids[2])
            beyond = await page(t, marker=f"{ids[2]}.original")
            assert [s.image_id for s in beyond.swarms] == [i for i in ids[3:] for _ in "ab"]
            for wrong in ({"limit": 0}, {"limit": 1001}, {"limit": "x"}, {"marker": "x"}, {"a": 1}):
                with pytest.raises(errors.MalformedRequest, match=next(iter(wrong))):
                    await page(t, **wrong)

    asyncio.run(scenario())
