"""The table of transfers, on a real disk."""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from peer.transfers.store import Store
from peer.transfers.transfer import Record
from swarm.errors import ConfigurationError
from swarm.messages import DestinationFormat, Failure, TransferState, Variant, Verify

if TYPE_CHECKING:
    from pathlib import Path

RECORD = Record(
    id="1c3e",
    image_id="6f1d9d2e-5c1a-4c53-9d1e-0a4b3b6f8c11",
    destination_url="file:///root/disk",
)
FULL = dataclasses.replace(
    RECORD,
    destination_format=DestinationFormat.RAW,
    verify=Verify.FULL,
    state=TransferState.FAILED,
    failure=Failure(step=TransferState.PLACING, code="no_space", reason="full", remedy="free"),
    variant=Variant.RAW,
    info_hash="ab" * 32,
    size=1 << 40,
    hash_algo="sha512",
    hash_value="cd",
    part_path="/root/disk.1c3e.part",
    file_inode=(1 << 64) - 1,
    file_mtime_ns=1,
)


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    """Each field, the largest inode number, and none at all; oldest first."""

    async def scenario() -> None:
        other = dataclasses.replace(RECORD, id="2", created_at=FULL.created_at.replace(year=2100))
        async with Store(tmp_path / "db") as store:
            await store.insert(other)
            await store.insert(RECORD)
            await store.save(FULL)
        async with Store(tmp_path / "db") as store:
            assert await store.load() == [FULL, other]
            await store.delete(FULL.id)
            assert await store.load() == [other]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        (TransferState.DOWNLOADING, (b"torrent", b"resume")),
        (TransferState.COMPLETE, (b"torrent", None)),
        (TransferState.FAILED, (None, None)),
        (TransferState.CANCELLED, (None, None)),
    ],
)
def test_a_transfer_that_has_ended_keeps_only_the_blobs_it_needs(
    tmp_path: Path, state: TransferState, kept: tuple[bytes | None, bytes | None]
) -> None:
    """The torrent for seeding; nothing of a transfer that failed or was cancelled."""

    async def scenario() -> None:
        async with Store(tmp_path / "db") as store:
            await store.insert(RECORD)
            assert await store.metainfo(RECORD.id) is None
            await store.save_metainfo(RECORD.id, b"torrent")
            await store.save_resume(RECORD.id, b"resume")
            await store.save(dataclasses.replace(RECORD, state=state))
            assert (await store.metainfo(RECORD.id), await store.resume(RECORD.id)) == kept
            await store.save_resume(RECORD.id, None)
            assert await store.resume(RECORD.id) is None
            assert await store.metainfo("unknown") is None

    asyncio.run(scenario())


def test_two_agents_cannot_share_a_state_directory(tmp_path: Path) -> None:
    """The second is told so at its start."""

    async def scenario() -> None:
        async with Store(tmp_path / "db"):
            with pytest.raises(ConfigurationError, match="in use by another agent"):
                async with Store(tmp_path / "db"):
                    pass

    asyncio.run(scenario())


def test_a_foreign_or_newer_file_is_refused(tmp_path: Path) -> None:
    """What is not ours is not written to."""

    async def open_it(path: Path) -> None:
        async with Store(path):
            pass

    (tmp_path / "text").write_bytes(b"not a database, and longer than its header is " * 40)
    with pytest.raises(ConfigurationError):
        asyncio.run(open_it(tmp_path / "text"))
    with sqlite3.connect(tmp_path / "newer") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigurationError, match="version 99"):
        asyncio.run(open_it(tmp_path / "newer"))
    with pytest.raises(ConfigurationError):
        asyncio.run(open_it(tmp_path / "no" / "such" / "directory"))


_WRITER = """
import asyncio, dataclasses, sys
from pathlib import Path
from peer.transfers.store import Store
from peer.transfers.transfer import Record

async def main():
    async with Store(Path(sys.argv[1])) as store:
        record = Record(id="1", image_id="i", destination_url="u", size=0, part_path="0")
        await store.insert(record)
        for number in range(1, 1_000_000):
            await store.save(dataclasses.replace(record, size=number, part_path=str(number)))
            print(number, flush=True)

asyncio.run(main())
"""


def test_what_was_saved_survives_sigkill(tmp_path: Path) -> None:
    """Killed in the middle of writes: the last save that returned is there, whole, or a later."""
    database = tmp_path / "db"
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(database)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        said = [int(next(writer.stdout)) for _ in range(30)]
        writer.kill()
        said += [int(line) for line in writer.stdout if line.endswith("\n")]
    assert writer.returncode == -9

    async def load() -> list[Record]:
        async with Store(database) as store:
            return await store.load()

    (record,) = asyncio.run(load())
    assert record.size is not None
    assert record.size in {said[-1], said[-1] + 1}
    assert record.part_path == str(record.size)
