"""One transfer: its record, which is durable, and what is known of it only while it runs.

A :class:`Record` never changes; ``ledger.py`` replaces it, after the new one is on the disk. A
:class:`Transfer` is what the API and the running task hold: the latest record, the torrent that
moves the bytes, and whoever waits for a change.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from peer.transfers.states import FINAL
from swarm.deadline import within
from swarm.messages import (
    DestinationFormat,
    Failure,
    TransferDocument,
    TransferState,
    Variant,
    Verify,
)

if TYPE_CHECKING:
    from swarm.engine import Torrent


def now() -> datetime:
    """Return the time in UTC: what records carry."""
    return datetime.now(timezone.utc)


@dataclass(frozen=True)
class Record:
    """What outlives the process, but for the two blobs (metainfo, resume data)."""

    id: str
    image_id: str
    destination_url: str
    destination_format: DestinationFormat = DestinationFormat.AS_IS
    verify: Verify = Verify.PIECES
    state: TransferState = TransferState.QUEUED
    failure: Failure | None = None
    variant: Variant | None = None
    info_hash: str | None = None
    #: Bytes of the variant.
    size: int | None = None
    #: Of the variant's whole bytes, as the tracker has it; for ``verify=full``.
    hash_algo: str | None = None
    hash_value: str | None = None
    #: Where the bytes are until they are placed; an absolute path.
    part_path: str | None = None
    #: Of the file, written down before it gets its final name: so that a crash between the two
    #: is told from a file of somebody else.
    file_inode: int | None = None
    file_mtime_ns: int | None = None
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)

    @property
    def is_final(self) -> bool:
        """Whether no step leads on."""
        return self.state in FINAL


class Transfer:
    """A transfer that the agent knows."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._changed: asyncio.Event = asyncio.Event()
        #: Moves the bytes, or seeds them; owned by the delivery, later by the seeding.
        self.torrent: Torrent | None = None
        #: Bytes that came from another file of this host.
        self.copied_bytes = 0
        #: Set before its task is cancelled for the user's sake, and not for a shutdown's.
        self.is_cancel_wanted = False

    @property
    def record(self) -> Record:
        """The latest record; it is on the disk."""
        return self._record

    @property
    def id(self) -> str:
        """A UUID."""
        return self._record.id

    @property
    def state(self) -> TransferState:
        """The present state."""
        return self._record.state

    @property
    def is_final(self) -> bool:
        """Whether it has ended: complete, failed or cancelled."""
        return self._record.is_final

    def show(self, record: Record) -> None:
        """Let everyone see ``record``, which is on the disk already."""
        self._record = record
        self._changed.set()
        self._changed = asyncio.Event()

    async def ended(self, timeout_seconds: float) -> bool:
        """Wait until it has ended; False if it has not within ``timeout_seconds``."""
        try:
            await within(timeout_seconds, self._end())
        except asyncio.TimeoutError:
            return self.is_final
        return True

    async def _end(self) -> None:
        while not self.is_final:
            await self._changed.wait()

    def to_document(self) -> TransferDocument:
        """Return what the API says of it, at this moment."""
        record = self._record
        moved = self.torrent.progress() if self.torrent is not None else None
        return TransferDocument(
            id=record.id,
            image_id=record.image_id,
            source_url=f"glance:{record.image_id}",
            destination_url=record.destination_url,
            destination_format=record.destination_format,
            verify=record.verify,
            state=record.state,
            failure=record.failure,
            variant=record.variant,
            info_hash=record.info_hash,
            size=record.size,
            progress=self._progress_bytes(moved.done if moved else 0),
            downloaded=moved.downloaded if moved else 0,
            uploaded=moved.uploaded if moved else 0,
            download_rate=moved.download_rate if moved else 0,
            upload_rate=moved.upload_rate if moved else 0,
            peers=moved.peers if moved else 0,
            created_at=record.created_at,
            updated_at=record.updated_at,
        )

    def _progress_bytes(self, done: int) -> int:
        if self.state is TransferState.COMPLETE:
            return self._record.size or 0
        if self.is_final:
            return 0  # what had arrived was removed
        return max(done, self.copied_bytes)
