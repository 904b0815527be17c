"""The way of one transfer, from the queue to its destination; one task runs it, the runner's.

Each step ends with the next state on the disk. However it ends, nothing of it is left open; if it
failed or was cancelled, nothing of it is left on the disk either.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from peer.instance_store.destination import parse_destination
from peer.instance_store.part_file import PartFile, remove_part
from peer.transfers.local_copy import copy_local
from peer.transfers.preparation import Prepared, check_torrent, prepare
from peer.transfers.verification import check_hash
from swarm import metainfo
from swarm.blocking import in_thread, to_the_end
from swarm.errors import ImageFailed, NoSeeder, SwarmError
from swarm.messages import Failure, VariantDocument, Verify
from swarm.web import problems

if TYPE_CHECKING:
    from peer.transfers.ledger import Ledger
    from peer.transfers.seeding import Seeding
    from peer.transfers.slots import Slots
    from peer.transfers.transfer import Transfer
    from swarm.engine import Engine, Torrent
    from swarm.metainfo import Metainfo
    from swarm.tracker_client import TrackerClient

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class DeliverySettings:
    """What an operator decides about transfers: options of ``[peer]``."""

    roots: list[str]
    file_mode: int = 0o644
    resume_interval: float = 5.0
    prepare_timeout: float = 3600.0
    stall_timeout: float = 3600.0


@dataclass(frozen=True)
class Surroundings:
    """What every delivery works with; owned by the runner and the application."""

    tracker: TrackerClient
    engine: Engine
    ledger: Ledger
    seeding: Seeding
    slots: Slots
    settings: DeliverySettings


class Delivery:
    """Brings one transfer to its end. Call :meth:`run` once."""

    def __init__(self, transfer: Transfer, surroundings: Surroundings) -> None:
        self._transfer = transfer
        self._tracker = surroundings.tracker
        self._engine = surroundings.engine
        self._ledger = surroundings.ledger
        self._seeding = surroundings.seeding
        self._slots = surroundings.slots
        self._settings = surroundings.settings
        self._part: PartFile | None = None
        #: The torrent while it is ours; the seeding owns it afterwards.
        self._torrent: Torrent | None = None

    async def run(self) -> None:
        """Return when the transfer has ended, or when it was suspended for a shutdown."""
        try:
            async with self._slots.one():
                await self._deliver()
        except asyncio.CancelledError:
            await self._interrupted()
        except SwarmError as error:
            await self._failed(error)
        except Exception:  # noqa: BLE001 - a bug must end the transfer, not hang whoever waits
            _LOG.exception("transfer %s: a fault of this program", self._transfer.id)
            await self._failed(SwarmError("a fault of the agent; its log has the details"))
        finally:
            if self._part is not None:
                self._part.close()

    async def _deliver(self) -> None:
        await self._ledger.advance(self._transfer)
        torrent = await self._prepare()
        # Whoever comes second with the same variant waits here, and finds the bytes on this host.
        async with self._seeding.lock(torrent.info_hash.hex()):
            part = await self._make_room(torrent)
            await self._ledger.advance(
                self._transfer,
                variant=torrent.name.variant,
                info_hash=torrent.info_hash.hex(),
                size=torrent.size,
                part_path=part.path,
            )
            if not await self._copy(torrent, part):
                await self._download(torrent, part)
            await self._ledger.advance(self._transfer)
            await self._verify(torrent, part)
            # From here on a cancellation comes too late: the file gets its name in a moment.
            await to_the_end(self._place(part))

    async def _prepare(self) -> Metainfo:
        """Get the torrent: from the time before a restart, else from the tracker."""
        record = self._transfer.record
        kept = await self._ledger.store.metainfo(record.id)
        if kept is not None and record.variant is not None:
            torrent = metainfo.parse(kept)
            check_torrent(torrent, record.image_id, record.variant)
            return torrent
        prepared = await prepare(
            self._tracker, record, timeout_seconds=self._settings.prepare_timeout
        )
        await self._keep(prepared)
        return prepared.torrent

    async def _keep(self, prepared: Prepared) -> None:
        algo, value = _hash_of(prepared.variant)
        if self._transfer.record.verify is Verify.FULL and value is None:
            raise ImageFailed(
                f"the tracker has no hash of {prepared.torrent.name} to verify the file against"
            )
        await self._ledger.store.save_metainfo(self._transfer.id, prepared.torrent.data)
        await self._ledger.note(self._transfer, hash_algo=algo, hash_value=value)

    async def _make_room(self, torrent: Metainfo) -> PartFile:
        destination = parse_destination(self._transfer.record.destination_url, self._settings.roots)

        def make() -> None:
            # Assigned in the thread: it is closed even if nobody waits for the thread any more.
            self._part = PartFile.open(destination, self._transfer.id)
            self._part.check_space(torrent.size)
            self._part.resize(torrent.size)

        await in_thread(make)
        assert self._part is not None  # noqa: S101 - make() raises or assigns
        return self._part

    async def _copy(self, torrent: Metainfo, part: PartFile) -> bool:
        """Copy from a file of this host, if one is seeded; False if it has to be downloaded."""
        source = self._engine.torrent(torrent.info_hash)
        if source is None:
            return False
        stop = threading.Event()
        path = Path(source.path)

        def work() -> bool:
            part.clear(torrent.size)
            return copy_local(path, part.fd, torrent, stop=stop, on_bytes=self._count)

        await self._ledger.store.save_resume(self._transfer.id, None)
        if await in_thread(work, stop=stop):
            _LOG.info("transfer %s: copied from %s", self._transfer.id, path)
            return True
        _LOG.warning("transfer %s: %s has changed; downloading", self._transfer.id, path)
        await self._seeding.drop_torrent(source)
        self._transfer.copied_bytes = 0
        await in_thread(lambda: part.clear(torrent.size))
        return False

    def _count(self, position: int) -> None:
        self._transfer.copied_bytes = position

    async def _download(self, torrent: Metainfo, part: PartFile) -> None:
        resume = await self._ledger.store.resume(self._transfer.id)

        async def join() -> Torrent:
            self._torrent = self._transfer.torrent = await self._engine.add(
                torrent, Path(part.path), announce_url=self._tracker.announce_url, resume=resume
            )
            return self._torrent

        # To its end: a torrent that was added behind our back would bring the part file back.
        await self._arrive(await to_the_end(join()))

    async def _arrive(self, torrent: Torrent) -> None:
        """Wait until every byte of ``torrent`` is with the kernel."""
        finished = asyncio.ensure_future(torrent.finished())
        keeping = asyncio.ensure_future(self._keep_resume(torrent))
        try:
            await asyncio.wait({finished, keeping}, return_when=asyncio.FIRST_COMPLETED)
            # The second ends by an error only.
            await (finished if finished.done() else keeping)
        finally:
            for task in (finished, keeping):
                task.cancel()
            await asyncio.wait({finished, keeping})
        await torrent.flush()
        # It is seeded already, and its name is about to change.
        await torrent.hold_open()

    async def _keep_resume(self, torrent: Torrent) -> None:
        """Save resume data again and again; raises NoSeeder when no byte comes for too long."""
        loop = asyncio.get_running_loop()
        done, since = torrent.progress().done, loop.time()
        while True:
            await asyncio.sleep(self._settings.resume_interval)
            await self._save_resume(torrent)
            if torrent.progress().done != done:
                done, since = torrent.progress().done, loop.time()
            elif loop.time() - since > self._settings.stall_timeout:
                raise NoSeeder(
                    f"no byte of {torrent.metainfo.name} arrived for "
                    f"{self._settings.stall_timeout:.0f} s, after {done} bytes"
                )

    async def _save_resume(self, torrent: Torrent) -> None:
        resume = await torrent.save_resume()
        if resume is not None:
            await self._ledger.store.save_resume(self._transfer.id, resume)

    async def _verify(self, torrent: Metainfo, part: PartFile) -> None:
        await in_thread(part.sync)
        record = self._transfer.record
        if record.verify is not Verify.FULL:
            return
        algo, value = record.hash_algo or "", record.hash_value or ""
        stop = threading.Event()
        await in_thread(lambda: check_hash(part.fd, torrent, algo, value, stop), stop=stop)

    async def _place(self, part: PartFile) -> None:
        status = await in_thread(part.status)
        await self._ledger.advance(
            self._transfer, file_inode=status.st_ino, file_mtime_ns=status.st_mtime_ns
        )
        await in_thread(lambda: part.publish(self._settings.file_mode))
        await self._ledger.advance(self._transfer)
        _LOG.info("transfer %s: %s is complete", self._transfer.id, part.destination.path)
        if self._torrent is not None:
            torrent, self._torrent = self._torrent, None
            try:
                await torrent.renamed(Path(part.destination.path))
            except SwarmError as error:
                _LOG.warning("%s is not seeded: %s", torrent.metainfo.name, error.detail)
                self._transfer.torrent = None
                await torrent.remove()
            else:
                self._seeding.start(self._transfer, torrent)

    async def _interrupted(self) -> None:
        """Act on the cancellation of the task: the user's wish, or the agent's shutdown."""
        if self._transfer.is_final:
            return
        if self._transfer.is_cancel_wanted:
            await self._discard()
            await self._ledger.cancel(self._transfer)
            _LOG.info("transfer %s: cancelled", self._transfer.id)
            return
        try:
            if self._torrent is not None:
                await self._save_resume(self._torrent)
        except SwarmError as error:
            _LOG.warning("transfer %s: no resume data: %s", self._transfer.id, error.detail)
        await self._leave_swarm()

    async def _failed(self, error: SwarmError) -> None:
        failure = Failure(
            step=self._transfer.state,
            code=problems.row_of(error).code,
            reason=error.detail[:4096],
            remedy=error.remedy[:1024],
        )
        await self._discard()
        await self._ledger.fail(self._transfer, failure)
        _LOG.warning(
            "transfer %s: failed while %s: %s",
            self._transfer.id,
            failure.step.value,
            failure.reason,
        )

    async def _discard(self) -> None:
        """Leave the swarm, then remove the part file: the other way round it would come back."""
        await self._leave_swarm()
        try:
            await in_thread(self._remove_part)
        except SwarmError as error:
            _LOG.warning("transfer %s: %s", self._transfer.id, error.detail)

    def _remove_part(self) -> None:
        if self._part is not None:
            self._part.discard()
        elif self._transfer.record.part_path is not None:  # of the time before a restart
            record = self._transfer.record
            destination = parse_destination(record.destination_url, self._settings.roots)
            remove_part(destination, record.id)

    async def _leave_swarm(self) -> None:
        if self._torrent is not None:
            torrent, self._torrent = self._torrent, None
            self._transfer.torrent = None
            with contextlib.suppress(SwarmError):
                await torrent.remove()


def _hash_of(variant: VariantDocument | None) -> tuple[str | None, str | None]:
    if variant is None:
        return None, None
    return variant.hash_algo, variant.hash_value
