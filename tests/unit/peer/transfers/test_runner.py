"""Transfers from request to file, with a real tracker and real engines."""

from __future__ import annotations

import asyncio
import os
import uuid
from typing import TYPE_CHECKING

import pytest

from swarm.errors import (
    DestinationBusy,
    DestinationExists,
    DestinationOutsideRoots,
    QueueFull,
    TransferUnknown,
)
from swarm.messages import TransferState
from tests.images import IMAGE_ID
from tests.small_disk import small_file_system
from tests.unit.peer.neighbourhood import agent_at, publish, seeded, tracker_at
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from peer.transfers.transfer import Transfer


def state_of(transfer: Transfer) -> tuple[TransferState, str]:
    """Return what a test compares: with the reason, so that a failure explains itself."""
    failure = transfer.record.failure
    return transfer.state, failure.code if failure else ""


def test_a_transfer_brings_the_image_and_goes_on_seeding_it(tmp_path: Path) -> None:
    """Byte for byte, with the mode that was asked for, no part file, and seeded from its place."""

    async def scenario() -> None:
        async with (
            tracker_at(tmp_path) as tracker,
            seeded(tracker, tmp_path) as image,
            agent_at(tmp_path, tracker) as agent,
        ):
            transfer = await agent.runner.create(IMAGE_ID, agent.request(verify="full"))
            assert await transfer.ended(30.0)
            assert state_of(transfer) == (TransferState.COMPLETE, "")
            placed = agent.root / "disk"
            assert placed.read_bytes() == image.path.read_bytes()
            assert placed.stat().st_mode & 0o777 == 0o644
            assert agent.parts() == []
            torrent = agent.engine.torrent(image.torrent.info_hash)
            await until(
                lambda: torrent is not None and torrent.path == placed, what="seeded in place"
            )
            document = transfer.to_document()
            assert (document.progress, document.size) == (image.torrent.size, image.torrent.size)

    asyncio.run(scenario())


def test_a_second_destination_is_served_by_a_local_copy(tmp_path: Path) -> None:
    """Two requests at once cost one download; both files are whole."""

    async def scenario() -> None:
        async with (
            tracker_at(tmp_path) as tracker,
            seeded(tracker, tmp_path) as image,
            agent_at(tmp_path, tracker) as agent,
        ):
            both = [
                await agent.runner.create(IMAGE_ID, agent.request(name)) for name in ("one", "two")
            ]
            for transfer in both:
                assert await transfer.ended(30.0)
                assert state_of(transfer) == (TransferState.COMPLETE, "")
            for name in ("one", "two"):
                assert (agent.root / name).read_bytes() == image.path.read_bytes()
            assert sorted(t.copied_bytes for t in both) == [0, image.torrent.size]

    asyncio.run(scenario())


def test_a_source_that_was_changed_is_not_copied_from(tmp_path: Path) -> None:
    """A placed file that somebody wrote to is found out; its torrent goes, the swarm serves."""

    async def scenario() -> None:
        async with (
            tracker_at(tmp_path) as tracker,
            seeded(tracker, tmp_path) as image,
            agent_at(tmp_path, tracker) as agent,
        ):
            first = await agent.runner.create(IMAGE_ID, agent.request("one"))
            assert await first.ended(30.0)
            with (agent.root / "one").open("r+b") as file:
                file.seek(1_000_000)
                file.write(b"scribble")
            second = await agent.runner.create(IMAGE_ID, agent.request("two"))
            assert await second.ended(30.0)
            assert state_of(second) == (TransferState.COMPLETE, "")
            assert (agent.root / "two").read_bytes() == image.path.read_bytes()
            assert (first.torrent, second.copied_bytes) == (None, 0)

    asyncio.run(scenario())


def test_cancelling_leaves_nothing_behind(tmp_path: Path) -> None:
    """In the middle of a download: state cancelled, no part file, no torrent."""

    async def scenario() -> None:
        async with (
            tracker_at(tmp_path) as tracker,
            seeded(tracker, tmp_path, upload_limit=300_000) as image,
            agent_at(tmp_path, tracker) as agent,
        ):
            transfer = await agent.runner.create(IMAGE_ID, agent.request())
            await until(lambda: transfer.to_document().progress > 0, what="some bytes")
            assert len(agent.parts()) == 1
            await agent.runner.cancel(transfer.id)
            assert state_of(transfer) == (TransferState.CANCELLED, "")
            assert list(agent.root.iterdir()) == []
            assert agent.engine.torrent(image.torrent.info_hash) is None
            # A second DELETE forgets it.
            await agent.runner.cancel(transfer.id)
            with pytest.raises(TransferUnknown):
                agent.runner.get(transfer.id)

    asyncio.run(scenario())


def test_cancelling_at_once_and_in_the_queue(tmp_path: Path) -> None:
    """A transfer can be cancelled before its first step, and while it waits for a slot."""

    async def scenario() -> None:
        async with (
            tracker_at(tmp_path) as tracker,
            agent_at(tmp_path, tracker, max_active=1) as agent,
        ):
            first = await agent.runner.create(IMAGE_ID, agent.request("one"))
            await until(lambda: first.state is TransferState.PREPARING, what="the first runs")
            second = await agent.runner.create(IMAGE_ID, agent.request("two"))
            assert second.state is TransferState.QUEUED
            await agent.runner.cancel(second.id)
            await agent.runner.cancel(first.id)
            assert {first.state, second.state} == {TransferState.CANCELLED}
            assert list(agent.root.iterdir()) == []

    asyncio.run(scenario())


def test_a_restart_resumes_and_does_not_fetch_again_what_it_had(tmp_path: Path) -> None:
    """Stopped in the middle, the second agent goes on from the resume data of the first."""

    async def scenario() -> None:
        size = 4 << 20
        async with (
            tracker_at(tmp_path) as tracker,
            seeded(tracker, tmp_path, size=size, upload_limit=1_500_000) as image,
        ):
            async with agent_at(tmp_path, tracker) as agent:
                transfer = await agent.runner.create(IMAGE_ID, agent.request())
                await until(lambda: transfer.to_document().progress > size // 3, what="a third")
            part = agent.parts()
            assert len(part) == 1
            async with agent_at(tmp_path, tracker) as agent:
                again = agent.runner.get(transfer.id)
                assert not again.is_final
                assert await again.ended(30.0)
                assert state_of(again) == (TransferState.COMPLETE, "")
                assert (agent.root / "disk").read_bytes() == image.path.read_bytes()
                await until(lambda: again.to_document().downloaded > 0, what="figures")
                assert again.to_document().downloaded < size * 0.9

    asyncio.run(scenario())


def test_what_is_complete_is_seeded_again_after_a_restart(tmp_path: Path) -> None:
    """Untouched or only touched: seeded. Changed: not seeded, not written to."""

    async def scenario() -> None:
        async with tracker_at(tmp_path) as tracker:
            async with (
                seeded(tracker, tmp_path) as image,
                agent_at(tmp_path, tracker) as agent,
            ):
                transfer = await agent.runner.create(IMAGE_ID, agent.request())
                assert await transfer.ended(30.0)
            placed = agent.root / "disk"
            key = image.torrent.info_hash
            for touch in (False, True):
                if touch:
                    os.utime(placed)  # as Nova does when it uses an image
                async with agent_at(tmp_path, tracker) as agent:
                    await until(lambda: agent.engine.torrent(key) is not None, what="seeded")
            with placed.open("r+b") as file:
                file.write(b"scribble")
            changed = placed.read_bytes()
            async with agent_at(tmp_path, tracker) as agent:
                restoring = agent.runner._surroundings.seeding._restoring
                assert restoring is not None
                await asyncio.wait([restoring], timeout=20.0)
                assert agent.engine.torrent(key) is None
                assert placed.read_bytes() == changed

    asyncio.run(scenario())


def test_a_crash_between_the_final_name_and_its_record_is_a_complete_transfer(
    tmp_path: Path,
) -> None:
    """The file is recognised as what was being placed; it is not taken for somebody else's."""

    async def scenario() -> None:
        async with tracker_at(tmp_path) as tracker:
            async with seeded(tracker, tmp_path), agent_at(tmp_path, tracker) as agent:
                transfer = await agent.runner.create(IMAGE_ID, agent.request())
                assert await transfer.ended(30.0)
                # What a SIGKILL at that moment leaves: both names, and the state before the last.
                part = transfer.record.part_path
                assert part is not None
                os.link(agent.root / "disk", part)
                await agent.runner._surroundings.ledger.note(transfer, state=TransferState.PLACING)
            async with agent_at(tmp_path, tracker) as agent:
                assert agent.runner.get(transfer.id).state is TransferState.COMPLETE
                assert agent.parts() == []

    asyncio.run(scenario())


def test_a_seeded_file_that_is_removed_is_dropped_and_the_other_takes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The torrent moves to the second destination when the first one's file is deleted."""
    monkeypatch.setattr("peer.transfers.seeding._LOOK_SECONDS", 0.1)

    async def scenario() -> None:
        async with (
            tracker_at(tmp_path) as tracker,
            seeded(tracker, tmp_path) as image,
            agent_at(tmp_path, tracker) as agent,
        ):
            for name in ("one", "two"):
                transfer = await agent.runner.create(IMAGE_ID, agent.request(name))
                assert await transfer.ended(30.0)
            key = image.torrent.info_hash

            def path() -> str | None:
                torrent = agent.engine.torrent(key)
                return torrent.path.name if torrent is not None else None

            assert path() == "one"
            (agent.root / "one").unlink()
            await until(lambda: path() == "two", what="two is seeded")
            (agent.root / "two").unlink()
            await until(lambda: path() is None, what="nothing is seeded")

    asyncio.run(scenario())


def test_forgetting_stops_seeding_and_keeps_the_file(tmp_path: Path) -> None:
    """DELETE on a complete transfer: no torrent, no record, the file stays."""

    async def scenario() -> None:
        async with (
            tracker_at(tmp_path) as tracker,
            seeded(tracker, tmp_path) as image,
            agent_at(tmp_path, tracker) as agent,
        ):
            transfer = await agent.runner.create(IMAGE_ID, agent.request())
            assert await transfer.ended(30.0)
            await until(lambda: transfer.torrent is not None, what="seeding")
            await until(lambda: not agent.runner._tasks, what="the task ends")
            await agent.runner.cancel(transfer.id)
            assert agent.runner.list() == []
            assert agent.engine.torrent(image.torrent.info_hash) is None
            assert (agent.root / "disk").read_bytes() == image.path.read_bytes()

    asyncio.run(scenario())


def test_what_cannot_be_placed_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """Outside the roots, existing, busy, or one too many: an error, and no transfer."""

    async def scenario() -> None:
        async with (
            tracker_at(tmp_path) as tracker,
            agent_at(tmp_path, tracker, max_active=1, max_queued=1) as agent,
        ):
            runner = agent.runner
            with pytest.raises(DestinationOutsideRoots):
                await runner.create(IMAGE_ID, agent.request("../elsewhere"))
            (agent.root / "there").write_bytes(b"mine")
            with pytest.raises(DestinationExists):
                await runner.create(IMAGE_ID, agent.request("there"))
            assert runner.list() == []
            first = await runner.create(IMAGE_ID, agent.request("one"))
            with pytest.raises(DestinationBusy):
                await runner.create(IMAGE_ID, agent.request("one"))
            await until(lambda: first.state is TransferState.PREPARING, what="the first runs")
            await runner.create(IMAGE_ID, agent.request("two"))
            with pytest.raises(QueueFull):
                await runner.create(IMAGE_ID, agent.request("three"))
            assert (agent.root / "there").read_bytes() == b"mine"

    asyncio.run(scenario())


def test_a_name_that_is_taken_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    """A file that appears during the download stays; the transfer fails and tidies up."""

    async def scenario() -> None:
        async with (
            tracker_at(tmp_path) as tracker,
            seeded(tracker, tmp_path, upload_limit=2_000_000) as image,
            agent_at(tmp_path, tracker) as agent,
        ):
            transfer = await agent.runner.create(IMAGE_ID, agent.request())
            await until(lambda: transfer.state is TransferState.DOWNLOADING, what="download")
            (agent.root / "disk").write_bytes(b"mine")
            assert await transfer.ended(30.0)
            assert state_of(transfer) == (TransferState.FAILED, "destination_exists")
            failure = transfer.record.failure
            assert failure is not None
            assert failure.step is TransferState.PLACING
            assert (agent.root / "disk").read_bytes() == b"mine"
            assert agent.parts() == []
            assert agent.engine.torrent(image.torrent.info_hash) is None

    asyncio.run(scenario())


def test_an_image_that_nobody_can_convert_is_waited_for_and_then_fails(tmp_path: Path) -> None:
    """No seeder is connected: the transfer waits in ``preparing`` for prepare_timeout."""

    async def scenario() -> None:
        async with (
            tracker_at(tmp_path) as tracker,
            agent_at(tmp_path, tracker, prepare_timeout=1.0) as agent,
        ):
            transfer = await agent.runner.create(str(uuid.uuid4()), agent.request())
            assert not await transfer.ended(0.3)
            assert transfer.state is TransferState.PREPARING
            assert await transfer.ended(20.0)
            assert state_of(transfer) == (TransferState.FAILED, "no_seeder")

    asyncio.run(scenario())


def test_a_swarm_that_gives_no_byte_fails_in_the_end(tmp_path: Path) -> None:
    """A torrent that nobody seeds: no_seeder after stall_timeout, and nothing is left."""

    async def scenario() -> None:
        async with (
            tracker_at(tmp_path) as tracker,
            agent_at(tmp_path, tracker, stall_timeout=0.5) as agent,
        ):
            image = tmp_path / "image.raw"
            image.write_bytes(bytes(70_000))
            await publish(tracker, image)
            transfer = await agent.runner.create(IMAGE_ID, agent.request())
            assert await transfer.ended(20.0)
            assert state_of(transfer) == (TransferState.FAILED, "no_seeder")
            assert list(agent.root.iterdir()) == []

    asyncio.run(scenario())


def test_an_image_that_does_not_fit_fails_with_the_reason(tmp_path: Path) -> None:
    """The file system is too small: no_space while preparing, no file of any name."""

    async def scenario() -> None:
        async with (
            tracker_at(tmp_path) as tracker,
            seeded(tracker, tmp_path, size=6 << 20),
        ):
            (tmp_path / "agent").mkdir()
            with small_file_system(tmp_path / "agent" / "root", 2 << 20) as root:
                async with agent_at(tmp_path / "agent", tracker) as agent:
                    transfer = await agent.runner.create(IMAGE_ID, agent.request())
                    assert await transfer.ended(30.0)
                    assert state_of(transfer) == (TransferState.FAILED, "no_space")
                    assert list(root.iterdir()) == []

    asyncio.run(scenario())


def test_a_disk_that_fills_up_during_the_download_fails_the_transfer(tmp_path: Path) -> None:
    """ENOSPC from the engine: no_space while downloading, no partial file is left."""

    async def scenario() -> None:
        async with (
            tracker_at(tmp_path) as tracker,
            seeded(tracker, tmp_path, size=6 << 20, upload_limit=2_000_000),
        ):
            (tmp_path / "agent").mkdir()
            with small_file_system(tmp_path / "agent" / "root", 8 << 20) as root:
                async with agent_at(tmp_path / "agent", tracker) as agent:
                    transfer = await agent.runner.create(IMAGE_ID, agent.request())
                    await until(lambda: transfer.state is TransferState.DOWNLOADING, what="begun")
                    (root / "hog").write_bytes(bytes(7 << 20))
                    assert await transfer.ended(30.0)
                    assert state_of(transfer) == (TransferState.FAILED, "no_space")
                    assert [path.name for path in root.iterdir()] == ["hog"]

    asyncio.run(scenario())


def test_a_queue_is_served_in_order(tmp_path: Path) -> None:
    """With one slot, transfers start in the order of their requests."""

    async def scenario() -> None:
        async with (
            tracker_at(tmp_path) as tracker,
            seeded(tracker, tmp_path, size=200_000),
            agent_at(tmp_path, tracker, max_active=1) as agent,
        ):
            names = ["a", "b", "c", "d"]
            transfers = [await agent.runner.create(IMAGE_ID, agent.request(n)) for n in names]
            for transfer in transfers:
                assert await transfer.ended(30.0)
            ends = [transfer.record.updated_at for transfer in transfers]
            assert ends == sorted(ends)

    asyncio.run(scenario())


def test_a_torrent_of_something_else_is_refused(tmp_path: Path) -> None:
    """A torrent that is kept for a transfer must be that of its image."""

    async def scenario() -> None:
        async with tracker_at(tmp_path) as tracker, agent_at(tmp_path, tracker) as agent:
            path = tmp_path / "other.raw"
            path.write_bytes(b"x" * 70_000)
            other = await publish(tracker, path, image_id=str(uuid.uuid4()))
            wanted = await publish(tracker, path)
            assert other.info_hash != wanted.info_hash
            transfer = await agent.runner.create(IMAGE_ID, agent.request())
            await until(lambda: transfer.state is TransferState.DOWNLOADING, what="no seeds")
            await agent.runner._store.save_metainfo(transfer.id, other.data)
        async with tracker_at(tmp_path) as tracker, agent_at(tmp_path, tracker) as agent:
            again = agent.runner.get(transfer.id)
            assert await again.ended(20.0)
            assert state_of(again) == (TransferState.FAILED, "metainfo_refused")

    asyncio.run(scenario())


def test_a_bug_ends_the_transfer_and_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody waits for ever: internal_error, and a traceback in the log (the bug is staged)."""

    async def scenario() -> None:
        async with tracker_at(tmp_path) as tracker, agent_at(tmp_path, tracker) as agent:
            transfer = await agent.runner.create(IMAGE_ID, agent.request())
            assert await transfer.ended(20.0)
            assert state_of(transfer) == (TransferState.FAILED, "internal_error")

    async def stumble(*_: object, **__: object) -> None:
        raise ZeroDivisionError("staged")

    monkeypatch.setattr("peer.transfers.delivery.prepare", stumble)
    asyncio.run(scenario())
    assert "ZeroDivisionError: staged" in caplog.text


def test_only_so_many_ended_transfers_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest of those that seed nothing are forgotten; the list has a bound."""
    monkeypatch.setattr("peer.transfers.runner._MOST_REMEMBERED", 2)

    async def scenario() -> None:
        async with tracker_at(tmp_path) as tracker, agent_at(tmp_path, tracker) as agent:
            made = []
            for number in range(5):
                transfer = await agent.runner.create(IMAGE_ID, agent.request(str(number)))
                await agent.runner.cancel(transfer.id)
                made.append(transfer.id)
            known = {transfer.id for transfer in agent.runner.list()}
            assert known == set(made[-3:])
            assert {record.id for record in await agent.runner._store.load()} == known

    asyncio.run(scenario())
