"""All transfers of the agent: taken in, run by tasks that are owned here, cancelled, forgotten.

What a restart finds is taken up where the ordinary way begins; see ``states.py`` on recovery.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from peer.instance_store.destination import parse_destination
from peer.instance_store.part_file import check_free, find_file, remove_part
from peer.transfers.delivery import Delivery, DeliverySettings, Surroundings
from peer.transfers.ledger import Ledger
from peer.transfers.seeding import Seeding
from peer.transfers.slots import Slots
from peer.transfers.transfer import Record, Transfer
from swarm.blocking import in_thread
from swarm.errors import DestinationBusy, QueueFull, SwarmError, TransferUnknown
from swarm.messages import TransferRequest, TransferState

if TYPE_CHECKING:
    from peer.instance_store.destination import Destination
    from peer.transfers.store import Store
    from swarm.engine import Engine
    from swarm.tracker_client import TrackerClient

_LOG = logging.getLogger(__name__)

#: Transfers that have ended and seed nothing are kept for whoever asks; the oldest go first.
_MOST_REMEMBERED = 1000


@dataclass(frozen=True)
class RunnerSettings:
    """How much runs, and how much waits; options of ``[peer]``."""

    max_active: int = 4
    max_queued: int = 1000


class Runner:
    """Call :meth:`start` once, and :meth:`stop` in the end."""

    def __init__(
        self,
        *,
        store: Store,
        engine: Engine,
        tracker: TrackerClient,
        settings: RunnerSettings,
        delivery: DeliverySettings,
    ) -> None:
        self._store = store
        self._settings = settings
        self._roots = delivery.roots
        self._transfers: dict[str, Transfer] = {}
        #: Not on the disk yet, and so not to be seen; but their destinations are taken.
        self._arriving: set[Transfer] = set()
        self._tasks: dict[Transfer, asyncio.Task[None]] = {}
        ledger = Ledger(store)
        seeding = Seeding(
            engine,
            ledger,
            self._transfers,
            announce_url=tracker.announce_url,
            roots=delivery.roots,
        )
        self._surroundings = Surroundings(
            tracker, engine, ledger, seeding, Slots(settings.max_active), delivery
        )

    async def start(self) -> None:
        """Take up what the store has: seed what is complete, queue what is not."""
        for record in await self._store.load():
            self._transfers[record.id] = Transfer(record)
        unfinished = [t for t in self._transfers.values() if not t.is_final]
        for transfer in unfinished:
            await self._recover(transfer)
        self._surroundings.seeding.restore()
        for transfer in unfinished:
            if not transfer.is_final:
                self._run(transfer)

    async def stop(self) -> None:
        """Suspend what runs, so that the next start goes on with it."""
        tasks = list(self._tasks.items())
        for transfer, task in tasks:
            if not transfer.is_cancel_wanted:  # else it is at it already, and is not disturbed
                task.cancel()
        if tasks:
            await asyncio.wait([task for _, task in tasks])
        await self._surroundings.seeding.close()

    def list(self) -> list[Transfer]:
        """Return all transfers, newest first."""
        return sorted(self._transfers.values(), key=lambda t: t.record.created_at, reverse=True)

    def get(self, transfer_id: str) -> Transfer:
        """Return one transfer. Raises :class:`~swarm.errors.TransferUnknown`."""
        try:
            return self._transfers[transfer_id]
        except KeyError:
            raise TransferUnknown(f"there is no transfer {transfer_id[:40]!r}") from None

    async def check(self, request: TransferRequest) -> None:
        """Raise what would refuse ``request`` now; nothing is written.

        One of the :class:`~swarm.errors.DestinationRefused`, or
        :class:`~swarm.errors.QueueFull`.
        """
        destination = parse_destination(request.destination_url, self._roots)
        self._check_capacity(destination)
        await in_thread(lambda: check_free(destination))

    async def create(self, image_id: str, request: TransferRequest) -> Transfer:
        """Queue a transfer; it is on the disk when this returns. Raises as :meth:`check`."""
        await self.check(request)
        # Again, with no await until it is in the table: two requests may have come this far.
        self._check_capacity(parse_destination(request.destination_url, self._roots))
        transfer = Transfer(
            Record(
                id=str(uuid.uuid4()),
                image_id=image_id,
                destination_url=request.destination_url,
                destination_format=request.destination_format,
                verify=request.verify,
            )
        )
        self._arriving.add(transfer)
        try:
            await self._store.insert(transfer.record)
        finally:
            self._arriving.remove(transfer)
        self._transfers[transfer.id] = transfer
        self._run(transfer)
        await self._forget_oldest()
        return transfer

    async def cancel(self, transfer_id: str) -> None:
        """Cancel a transfer that runs; forget one that has ended, and stop seeding its file.

        Returns when that is done; a cancellation that comes while the file gets its name is too
        late, and the transfer is complete. Raises :class:`~swarm.errors.TransferUnknown`.
        """
        transfer = self.get(transfer_id)
        had_ended = transfer.is_final
        task = self._tasks.get(transfer)
        if task is not None:
            if not had_ended and not transfer.is_cancel_wanted:
                transfer.is_cancel_wanted = True
                task.cancel()
            await asyncio.wait([task])
        if not transfer.is_final:  # its task never came to run, or could not write down its end
            await self._surroundings.ledger.cancel(transfer)
        if had_ended:
            await self._forget(transfer)

    def _run(self, transfer: Transfer) -> None:
        task = asyncio.create_task(
            Delivery(transfer, self._surroundings).run(), name=f"transfer {transfer.id}"
        )
        self._tasks[transfer] = task
        task.add_done_callback(lambda done: self._ended(transfer, done))

    def _ended(self, transfer: Transfer, task: asyncio.Task[None]) -> None:
        del self._tasks[transfer]
        if not task.cancelled() and (error := task.exception()) is not None:
            # The store refused even the failure: the next start finds it unfinished.
            _LOG.error("transfer %s: %s", transfer.id, error, exc_info=error)

    def _check_capacity(self, destination: Destination) -> None:
        waiting = 0
        for transfer in (*self._transfers.values(), *self._arriving):
            if transfer.is_final:
                continue
            if _path(transfer) == destination.path:
                raise DestinationBusy(
                    f"transfer {transfer.id} is on its way to {destination.path}",
                    transfer=transfer.id,
                )
            waiting += transfer.state is TransferState.QUEUED
        if waiting >= self._settings.max_queued:
            raise QueueFull(f"{waiting} transfers are waiting already", waiting=waiting)

    async def _recover(self, transfer: Transfer) -> None:
        if transfer.state is TransferState.PLACING and await self._is_placed(transfer):
            await self._surroundings.ledger.advance(transfer)
        elif transfer.state is not TransferState.QUEUED:
            await self._surroundings.ledger.recover(transfer)

    async def _is_placed(self, transfer: Transfer) -> bool:
        """Tell whether the crash came after the file got its name; tidy up if so."""
        record = transfer.record

        def look() -> bool:
            destination = parse_destination(record.destination_url, self._roots)
            found = find_file(destination)
            placed = found is not None and (found.st_ino, found.st_size, found.st_mtime_ns) == (
                record.file_inode,
                record.size,
                record.file_mtime_ns,
            )
            if placed:
                remove_part(destination, record.id)
            return placed

        try:
            return await in_thread(look)
        except SwarmError:
            return False  # the ordinary way will say why

    async def _forget(self, transfer: Transfer) -> None:
        # First from sight, so that nobody starts to seed it again.
        if self._transfers.pop(transfer.id, None) is None:
            return
        await self._surroundings.seeding.stop(transfer)
        await self._store.delete(transfer.id)

    async def _forget_oldest(self) -> None:
        idle = [t for t in self._transfers.values() if t.is_final and t.torrent is None]
        for transfer in idle[:-_MOST_REMEMBERED]:
            await self._forget(transfer)


def _path(transfer: Transfer) -> str:
    # Below any root: the roots may have been changed since it was taken in.
    return parse_destination(transfer.record.destination_url, ["/"]).path
