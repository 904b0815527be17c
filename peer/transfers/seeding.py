"""What has been placed goes on being seeded, for as long as its file is what was placed.

One torrent per variant: where two destinations on this host hold the same one, the first is seeded
and the other takes over when the first's file disappears. Each seeding torrent has one task, owned
here, that waits for the day its file can't be read or is gone: libtorrent by itself would keep the
torrent and starve those who ask for pieces, and keep the disk space of a deleted file.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from peer.instance_store.destination import parse_destination
from peer.instance_store.part_file import find_file
from peer.transfers.verification import is_whole
from swarm import metainfo
from swarm.blocking import in_thread
from swarm.errors import SwarmError
from swarm.messages import TransferState

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from peer.transfers.ledger import Ledger
    from peer.transfers.transfer import Transfer
    from swarm.engine import Engine, Torrent

_LOG = logging.getLogger(__name__)

#: How often a seeded file is looked at. A deleted one keeps its disk space for as long.
_LOOK_SECONDS = 30.0


class Seeding:
    """Owns the torrents of completed transfers, and one lock for each variant."""

    def __init__(
        self,
        engine: Engine,
        ledger: Ledger,
        transfers: Mapping[str, Transfer],
        *,
        announce_url: str,
        roots: list[str],
    ) -> None:
        self._engine = engine
        self._ledger = ledger
        self._transfers = transfers
        self._announce_url = announce_url
        self._roots = roots
        self._watches: dict[Transfer, asyncio.Task[None]] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._restoring: asyncio.Task[None] | None = None

    def lock(self, info_hash: str) -> asyncio.Lock:
        """Return the lock to hold while a torrent is added, downloaded, or removed for a reason."""
        return self._locks.setdefault(info_hash, asyncio.Lock())

    def start(self, transfer: Transfer, torrent: Torrent) -> None:
        """Take over the torrent of a transfer that is complete."""
        transfer.torrent = torrent
        self._watches[transfer] = asyncio.create_task(
            self._watch(transfer, torrent), name=f"seeding {torrent.metainfo.name}"
        )

    def restore(self) -> None:
        """Seed again what was complete when the agent stopped; returns at once."""
        self._restoring = asyncio.create_task(self._restore_all(), name="restore seeding")

    async def stop(self, transfer: Transfer) -> None:
        """Stop seeding for ``transfer``; another one of the same variant takes over."""
        watch = self._watches.pop(transfer, None)
        if watch is None:
            return
        watch.cancel()
        await asyncio.wait([watch])
        await self._leave(transfer)

    async def drop_torrent(self, torrent: Torrent) -> None:
        """Stop seeding a file that proved wrong; for a caller who holds the lock."""
        for transfer in [t for t in self._watches if t.torrent is torrent]:
            watch = self._watches.pop(transfer)
            watch.cancel()
            await asyncio.wait([watch])
            transfer.torrent = None
        await torrent.remove()

    async def close(self) -> None:
        """End every task; the torrents end with the engine."""
        tasks = [*self._watches.values(), *([self._restoring] if self._restoring else [])]
        self._watches.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _watch(self, transfer: Transfer, torrent: Torrent) -> None:
        reason = await self._end_of_file(transfer, torrent)
        _LOG.warning("%s is seeded no more: %s", torrent.metainfo.name, reason)
        await self._leave(transfer)
        if self._watches.get(transfer) is asyncio.current_task():
            del self._watches[transfer]

    async def _end_of_file(self, transfer: Transfer, torrent: Torrent) -> str:
        """Wait until the file is not there any more, and say why."""
        failed = asyncio.ensure_future(torrent.failed())
        try:
            while True:
                await asyncio.wait([failed], timeout=_LOOK_SECONDS)
                if failed.done():
                    return failed.result().detail
                found = await self._find(transfer)
                if found is None or found.st_ino != transfer.record.file_inode:
                    return f"{torrent.path} was removed or replaced"
        finally:
            failed.cancel()

    async def _leave(self, transfer: Transfer) -> None:
        torrent = transfer.torrent
        if torrent is None:
            return
        info_hash = torrent.metainfo.info_hash.hex()
        async with self.lock(info_hash):
            await torrent.remove()
            transfer.torrent = None
        for heir in list(self._transfers.values()):
            if heir is not transfer and heir.record.info_hash == info_hash:
                await self._restore(heir)

    async def _restore_all(self) -> None:
        for transfer in list(self._transfers.values()):
            await self._restore(transfer)

    async def _restore(self, transfer: Transfer) -> None:
        """Seed the file of a complete transfer, if it is still what was placed there."""
        if transfer.state is not TransferState.COMPLETE or transfer.torrent is not None:
            return
        try:
            await self._seed_again(transfer)
        except SwarmError as error:
            _LOG.warning("transfer %s is not seeded again: %s", transfer.id, error.detail)

    async def _seed_again(self, transfer: Transfer) -> None:
        data = await self._ledger.store.metainfo(transfer.id)
        if data is None:
            return
        torrent = metainfo.parse(data)
        async with self.lock(torrent.info_hash.hex()):
            if self._engine.torrent(torrent.info_hash) is not None:
                return
            found = await self._find(transfer)
            if found is None or not await self._is_unchanged(transfer, torrent, found):
                _LOG.info("%s: its file has changed or gone; not seeded", torrent.name)
                return
            path = Path(parse_destination(transfer.record.destination_url, self._roots).path)
            added = await self._engine.add(
                torrent, path, announce_url=self._announce_url, have_all=True
            )
        if self._transfers.get(transfer.id) is not transfer:  # it was forgotten meanwhile
            await added.remove()
            return
        self.start(transfer, added)

    async def _find(self, transfer: Transfer) -> os.stat_result | None:
        """Return what is known of the transfer's file; None if it can't be reached."""

        def look() -> os.stat_result | None:
            return find_file(parse_destination(transfer.record.destination_url, self._roots))

        try:
            return await in_thread(look)
        except SwarmError:
            return None

    async def _is_unchanged(
        self, transfer: Transfer, torrent: metainfo.Metainfo, found: os.stat_result
    ) -> bool:
        if found.st_size != torrent.size:
            return False
        if found.st_mtime_ns == transfer.record.file_mtime_ns:
            return True
        # Nova touches an image whenever it is used. It may be the same bytes: read them.
        path = parse_destination(transfer.record.destination_url, self._roots).path
        stop = threading.Event()
        if not await in_thread(lambda: _is_whole_file(path, torrent, stop), stop=stop):
            return False
        await self._ledger.note(transfer, file_mtime_ns=found.st_mtime_ns, file_inode=found.st_ino)
        return True


def _is_whole_file(path: str, torrent: metainfo.Metainfo, stop: threading.Event) -> bool:
    with Path(path).open("rb", buffering=0) as file:
        return is_whole(file.fileno(), torrent, stop)
