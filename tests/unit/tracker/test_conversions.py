"""Waiting for a torrent: who is asked, who is woken, and with what the wait ends.

The seeders here are scripted, but speak through the real client and the real control channel.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from swarm import errors
from swarm.messages import Convert, Refusal, Variant, VariantReport, VariantState
from tests.unit.tracker import lab
from tests.waiting import until
from tracker.conversions import Outlook, final_error, late_error
from tracker.demands import Wanted

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from swarm.tracker_client import TrackerClient

FAILED = VariantReport(state=VariantState.FAILED, reason="qemu-img: no space")
#: Long enough that only an event can end it within a test.
LONG = 50.0
#: What "at once" may take on a busy machine.
SOON = 10.0


def fetch(
    client: TrackerClient, *, wait: float = LONG, variant: Variant = Variant.ORIGINAL
) -> Coroutine[None, None, bytes]:
    """Ask for the torrent of the image."""
    return client.fetch_torrent(lab.IMAGE, variant, wait_seconds=wait)


def test_an_image_is_converted_on_demand(tmp_path: Path) -> None:
    """The demand reaches the seeder, which registers, converts, publishes; who waits gets it."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:

            async def convert(_: Convert) -> None:
                await t.register_image(lab.describe())
                await lab.publish(t)

            async with lab.connected(t, lab.FakeNode(on_demand=convert)) as seeder:
                assert await fetch(t) == lab.torrent().data
                wanted = Convert(image_id=lab.IMAGE, variant=Variant.ORIGINAL)
                assert seeder.demands == [wanted]
                await fetch(t, wait=0)
                assert seeder.demands == [wanted], "what is published is not asked for"

    asyncio.run(scenario())


def test_many_agents_send_one_demand(tmp_path: Path) -> None:
    """While one is outstanding no other is sent; all get the torrent."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t, lab.connected(t, lab.FakeNode()) as seeder:
            await t.register_image(lab.describe())
            with pytest.raises(errors.ImageNotReady):
                await fetch(t, wait=0)
            waiting = [asyncio.create_task(fetch(t)) for _ in range(10)]
            with pytest.raises(errors.ImageNotReady):
                await fetch(t, wait=0.2)
            made = await lab.publish(t)
            assert await asyncio.gather(*waiting) == [made.data] * 10
            assert len(seeder.demands) == 1

    asyncio.run(scenario())


def test_each_variant_is_a_demand_of_its_own(tmp_path: Path) -> None:
    """Publishing one form does not end the wait for the other."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t, lab.connected(t, lab.FakeNode()) as seeder:
            await t.register_image(lab.describe())
            raw = asyncio.create_task(fetch(t, variant=Variant.RAW))
            await until(lambda: len(seeder.demands) == 1, what="the demand")
            await lab.publish(t)
            assert await fetch(t) == lab.torrent().data
            assert not raw.done()
            made = await lab.publish(t, b"raw" * 999, variant=Variant.RAW)
            assert await raw == made.data

    asyncio.run(scenario())


def test_the_wait_ends_as_unready_when_the_time_is_up(tmp_path: Path) -> None:
    """503 with Retry-After; the demand stays with the seeder."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t, lab.connected(t, lab.FakeNode()):
            await t.register_image(lab.describe())
            url = f"{t.url}/v1/images/{lab.IMAGE}/torrent?variant=raw&wait=0.1"
            async with t.session.get(url) as response:
                assert response.status == 503
                assert int(response.headers["Retry-After"]) > 0
                assert (await response.json(content_type=None))["code"] == "image_not_ready"

    asyncio.run(scenario())


@pytest.mark.parametrize("wait", [0.0, LONG])
def test_an_image_that_no_seeder_knows_is_unknown_at_once(tmp_path: Path, wait: float) -> None:
    """Without waiting for the time to pass, and even if the caller does not wait at all."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            denying = lab.FakeNode(refuse_with="image_unknown")
            other = lab.FakeNode(refuse_with="image_unknown")
            async with lab.connected(t, denying), lab.connected(t, other, name="seeder-2"):
                start = time.monotonic()
                with pytest.raises(errors.ImageUnknown):
                    await fetch(t, wait=wait)
                assert time.monotonic() - start < SOON
                assert (len(denying.demands), len(other.demands)) == (1, 1)
                with pytest.raises(errors.ImageUnknown):
                    await fetch(t, wait=wait)
                assert len(denying.demands) == 2, "a refusal ends a demand; it is asked anew"

    asyncio.run(scenario())


def test_one_seeder_that_knows_the_image_is_enough(tmp_path: Path) -> None:
    """The refusal of another does not end the wait."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            denying, silent = lab.FakeNode(refuse_with="image_unknown"), lab.FakeNode()
            async with lab.connected(t, denying), lab.connected(t, silent, name="seeder-2"):
                waiting = asyncio.create_task(fetch(t))
                await until(lambda: bool(denying.demands and silent.demands), what="the demands")
                await t.register_image(lab.describe())
                made = await lab.publish(t)
                assert await waiting == made.data

    asyncio.run(scenario())


def test_without_a_seeder_nobody_can_be_asked(tmp_path: Path) -> None:
    """NoSeeder once the time is up, for known and unknown images."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            with pytest.raises(errors.NoSeeder):
                await fetch(t, wait=0)
            await t.register_image(lab.describe())
            with pytest.raises(errors.NoSeeder):
                await fetch(t, wait=0.1)

    asyncio.run(scenario())


def test_a_seeder_that_connects_late_gets_what_is_outstanding(tmp_path: Path) -> None:
    """The wait begins before there is a seeder."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            await t.register_image(lab.describe())
            waiting = asyncio.create_task(fetch(t))
            with pytest.raises(errors.NoSeeder):  # the first one is in, since this one is through
                await fetch(t, wait=0.1)
            async with lab.connected(t, lab.FakeNode()) as seeder:
                await until(lambda: len(seeder.demands) == 1, what="the demand")
                made = await lab.publish(t)
                assert await waiting == made.data

    asyncio.run(scenario())


def test_a_failure_is_told_with_the_seeders_reason(tmp_path: Path) -> None:
    """To those who wait, and at once to those who ask later, until a seeder tries again."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t, lab.connected(t, lab.FakeNode()) as seeder:
            await t.register_image(lab.describe())
            waiting = asyncio.create_task(fetch(t))
            await until(lambda: len(seeder.demands) == 1, what="the demand")
            await t.report_variant(lab.IMAGE, Variant.ORIGINAL, FAILED)
            for failing in (waiting, fetch(t)):
                with pytest.raises(errors.ImageFailed, match="no space"):
                    await failing
            assert len(seeder.demands) == 1
            again = VariantReport(state=VariantState.KNOWN)
            await t.report_variant(lab.IMAGE, Variant.ORIGINAL, again)
            with pytest.raises(errors.ImageNotReady):
                await fetch(t, wait=0)
            await until(lambda: len(seeder.demands) == 2, what="the second demand")

    asyncio.run(scenario())


def test_a_refusal_keeps_its_code(tmp_path: Path) -> None:
    """What the seeder says is what the agent hears."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            for code, error in (
                ("image_unsafe", errors.ImageUnsafe),
                ("source_unreachable", errors.SourceUnreachable),
                ("a_code_of_tomorrow", errors.Unavailable),
            ):
                async with lab.connected(t, lab.FakeNode(refuse_with=code), name=code):
                    with pytest.raises(error, match="the seeder says no"):
                        await fetch(t)

    asyncio.run(scenario())


def test_withdrawal_ends_the_wait(tmp_path: Path) -> None:
    """The image is unknown from then on, although a seeder has the demand."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t, lab.connected(t, lab.FakeNode()) as seeder:
            await t.register_image(lab.describe())
            waiting = asyncio.create_task(fetch(t))
            await until(lambda: len(seeder.demands) == 1, what="the demand")
            await t.withdraw_image(lab.IMAGE)
            with pytest.raises(errors.ImageUnknown):
                await waiting

    asyncio.run(scenario())


def test_a_registered_image_may_come_back_with_its_seeder(tmp_path: Path) -> None:
    """Another seeder's "unknown" is no 404 for it: the one that registered it may return."""

    async def scenario() -> None:
        async with lab.tracker_at(tmp_path) as t:
            await t.register_image(lab.describe())
            denying = lab.FakeNode(refuse_with="image_unknown")
            async with lab.connected(t, denying):
                with pytest.raises(errors.NoSeeder):
                    await fetch(t, wait=0.5)
                waiting = asyncio.create_task(fetch(t))
                await until(lambda: len(denying.demands) == 2, what="the demand")
                async with lab.connected(t, lab.FakeNode(), name="seeder-2"):
                    made = await lab.publish(t)
                    assert await waiting == made.data

    asyncio.run(scenario())


#: A registered image that a connected seeder has still to answer for.
ASKED = Outlook(Wanted(lab.IMAGE, Variant.RAW), is_registered=True, seeder_count=1, is_pending=True)


def test_the_rule_by_itself() -> None:
    """A seeder that left without a word makes the refusals of the others no final answer."""
    unknown = Refusal(
        image_id=lab.IMAGE, variant=Variant.RAW, code="image_unknown", detail="no such image"
    )
    left_unheard = replace(ASKED, is_registered=False, is_pending=False, refusals=(unknown,))
    assert final_error(left_unheard) is None
    assert isinstance(late_error(left_unheard), errors.NoSeeder)
    everybody = replace(left_unheard, has_every_answer=True)
    assert isinstance(final_error(everybody), errors.ImageUnknown)
    assert final_error(ASKED) is None
    assert isinstance(late_error(ASKED), errors.ImageNotReady)
